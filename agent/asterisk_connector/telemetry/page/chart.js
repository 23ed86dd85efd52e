// A small chart of the last minutes: one line over time, its latest value, its highest value; gaps where nothing is known.

import { make, write } from "/tree.js";
import { duration, time } from "/words.js";

const WIDTH = 300;
const HEIGHT = 64;
const COLUMNS = 180;

function svg(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

/** At most one value for each column: the highest, so that no peak is lost. */
function thinned(points, from, until) {
  const width = (until - from) / COLUMNS;
  const columns = [];
  for (const [at, value] of points) {
    const last = columns.at(-1);
    const column = Math.floor(at / width);
    if (!last || last.column !== column) columns.push({ column, at, value });
    else if (value !== null && (last.value === null || value > last.value)) Object.assign(last, { at, value });
  }
  return columns;
}

export class Chart {
  /** `say(value)` gives [number, unit]. */
  constructor(title, say) {
    this.title = title;
    this.say = say;
    this.value = make("span", { class: "value" });
    this.note = make("span");
    this.start = make("span");
    this.fill = svg("path", { class: "fill" });
    this.line = svg("path", { class: "line" });
    this.mark = svg("path", { class: "mark" });
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.picture.append(this.fill, this.line, this.mark);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    this.drawn = [];
    this.element = make(
      "figure",
      { class: "chart" },
      make("figcaption", {}, make("span", { class: "title", text: title }), this.value),
      this.picture,
      make("div", { class: "ends", "aria-hidden": "true" }, this.start, this.note),
    );
  }

  /** `points` are [seconds since 1970, value or null], oldest first; `latest` is what the value is now. */
  draw(points, from, until, latest) {
    this.latest = latest;
    const inside = points.filter(([at]) => at >= from);
    const known = inside.map(([, value]) => value).filter((value) => value !== null);
    const highest = known.reduce((most, value) => Math.max(most, value), 0);
    const x = (at) => Math.max(0, Math.min(WIDTH, ((at - from) / (until - from)) * WIDTH));
    const y = (value) => HEIGHT - 2 - (highest ? (value / highest) * (HEIGHT - 6) : 0);
    const strokes = [];
    this.drawn = thinned(inside, from, until).map(({ at, value }) => ({ at, value, x: x(at) }));
    for (const { x: left, value } of this.drawn) {
      if (value === null) strokes.push([]);
      else (strokes.at(-1) ?? strokes[strokes.push([]) - 1]).push([left.toFixed(1), y(value).toFixed(1)]);
    }
    const lines = strokes.filter((stroke) => stroke.length);
    const path = (stroke) => `M${stroke.map((place) => place.join(" ")).join("L")}`;
    this.line.setAttribute("d", lines.map((stroke) => path(stroke) + (stroke.length === 1 ? "h.1" : "")).join(""));
    const foot = (stroke) => `${path(stroke)}L${stroke.at(-1)[0]} ${HEIGHT}L${stroke[0][0]} ${HEIGHT}Z`;
    this.fill.setAttribute("d", lines.map(foot).join(""));
    const most = this.say(known.length ? highest : null).join(" ").trim();
    const span = duration(Math.round(until - from));
    write(this.start, `${span} ago`);
    write(this.note, inside.length ? `highest ${most}` : "first point in some seconds");
    this.picture.setAttribute("aria-label", `${this.title} over the last ${span}: now ${this.say(latest).join(" ").trim()}, highest ${most}`);
    if (!this.pointed) this.show(latest);
  }

  show(value, when = "") {
    const [number, unit] = this.say(value);
    this.value.replaceChildren(number, make("small", { text: `${unit}${when}` }));
  }

  /** Shows the value under the pointer, with its time. */
  point(event) {
    const place = event && (event.offsetX / this.picture.clientWidth) * WIDTH;
    const near = event && this.drawn.reduce((best, each) => (!best || Math.abs(each.x - place) < Math.abs(best.x - place) ? each : best), null);
    this.pointed = near;
    this.mark.setAttribute("d", near ? `M${near.x.toFixed(1)} 0V${HEIGHT}` : "");
    if (near) this.show(near.value, ` at ${time(near.at * 1000)}`);
    else this.show(this.latest ?? null);
  }
}
