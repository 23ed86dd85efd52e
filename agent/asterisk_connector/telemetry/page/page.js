// The status page: asks /status every two seconds and /history for new points, and shows what they say.
// It rests while nobody looks, and says so when the agent does not answer.

import { Chart } from "/chart.js";
import { make, write, keep, Table } from "/tree.js";
import { bytes, capital, count, duration, many, plain, rate, time } from "/words.js";

const EVERY = 2000;
const PATIENCE = 5000;
const LONGEST = 3600;
const SHORTEST = 60;
const AWAY_AFTER = 2;

const at = (id) => document.getElementById(id);
const sum = (items, value) => items.reduce((total, item) => total + (value(item) ?? 0), 0);

// Badges: a word and its colour; the word alone tells it.

const STATES = {
  reading: ["reading", "badge fine"],
  waiting: ["waiting", "badge"],
  failing: ["failing", "badge bad"],
  up: ["up", "badge fine"],
  down: ["down", "badge warn"],
  paused: ["paused", "badge bad"],
};
const badge = (state) => STATES[state] ?? [state, "badge"];
const because = (item) => [item.reason, item.hint].filter(Boolean).join(". ");

// Tables

const sources = new Table(at("sources"), at("no-sources"), [
  { title: "Source", cell: (s) => [s.kind, "", [s.name.slice(s.kind.length + 1), because(s)].filter(Boolean).join(": ")] },
  { title: "State", cell: (s) => badge(s.state) },
  { title: "Rows", kind: "number", cell: (s) => count(s.rows) },
  { title: "Behind", kind: "number", cell: (s) => [duration(s.lag_seconds), "", s.lag_bytes ? bytes(s.lag_bytes) : ""] },
  { title: "Set aside", kind: "number", cell: (s) => [count(s.set_aside), s.set_aside ? "warn" : ""] },
  { title: "Last row", kind: "number", cell: (s) => time(s.last_read_at) },
]);

const sinks = new Table(at("sinks"), at("no-sinks"), [
  { title: "Sink", cell: (s) => [s.name, "", because(s)] },
  { title: "State", cell: (s) => [...badge(s.state), s.state === "up" || !s.since ? "" : `since ${time(s.since)}`] },
  { title: "Delivered", kind: "number", cell: (s) => count(s.delivered) },
  { title: "Owed", kind: "number", cell: (s) => [count(s.pending), "", s.oldest_unsent ? `oldest ${duration(s.oldest_unsent)}` : ""] },
  { title: "Latency", kind: "number", cell: (s) => [duration(s.latency.p50), "", s.latency.p99 === null ? "" : `99 %: ${duration(s.latency.p99)}`] },
  { title: "Dead letters", kind: "number", cell: (s) => [count(s.dead), s.dead ? "warn" : ""] },
]);

const OUTCOMES = { answered: "badge fine", failed: "badge bad", congestion: "badge bad", error: "badge bad" };

const calls = new Table(at("calls"), at("no-calls"), [
  { title: "Began", kind: "time", cell: (c) => time(c.at) },
  { title: "Direction", cell: (c) => plain(c.direction) },
  { title: "Caller", cell: (c) => c.caller || "unknown" },
  { title: "Called", cell: (c) => c.called || "unknown" },
  { title: "Outcome", cell: (c) => [plain(c.outcome), OUTCOMES[c.outcome] ?? "badge", c.complete ? "" : "incomplete: its end was never written"] },
  { title: "Duration", kind: "number", cell: (c) => duration(c.duration) },
  { title: "Told", cell: (c) => [...(c.delivered ? ["delivered", "badge fine"] : ["owed", "badge warn"]), c.revision > 1 ? `revision ${c.revision}` : ""] },
  { title: "Call", cell: (c) => [c.id, "id"] },
]);

const errors = new Table(at("errors"), at("no-errors"), [
  { title: "Last", kind: "time", cell: (e) => time(e.at) },
  { title: "Part", cell: (e) => e.part },
  { title: "Error", kind: "whole", cell: (e) => [e.text, "", e.hint && !e.text.includes(e.hint) ? `What to do: ${e.hint}` : ""] },
  { title: "Times", kind: "number", cell: (e) => count(e.count) },
]);

function showProblems(problems) {
  at("no-problems").hidden = problems.length > 0;
  keep(
    at("problem-list"),
    problems,
    (p, place) => `${place} ${p.part} ${p.severity}`,
    () => make("li", {}, make("span", { class: "tag" }), make("span", { class: "what" }, make("b"), make("span")), make("span", { class: "hint" }), make("span", { class: "when" })),
    (row, p) => {
      const [tag, what, hint, when] = row.children;
      if (row.className !== p.severity) row.className = p.severity;
      write(tag, p.severity === "error" ? "Error" : "Warning");
      write(what.firstChild, `${capital(p.part)}: `);
      write(what.lastChild, p.text);
      write(hint, p.hint ? `What to do: ${p.hint}` : "");
      hint.hidden = !p.hint;
      const who = { configuration: "to be mended in the configuration", host: "to be mended on this host", remote: "the other side's to mend", bug: "a bug of the agent" };
      write(when, [p.since && `since ${time(p.since)}`, p.count > 1 && `${count(p.count)} times`, who[p.fault]].filter(Boolean).join(" · "));
    },
  );
}

function flowOf(now) {
  const behind = Math.max(0, ...now.sources.map((s) => s.lag_seconds ?? 0));
  const failing = now.sources.filter((s) => s.state === "failing").length;
  const oldest = Math.max(0, ...now.sinks.map((s) => s.oldest_unsent ?? 0));
  const away = now.sinks.filter((s) => s.state !== "up").map((s) => `${s.name} ${s.state}`);
  const dead = sum(now.sinks, (s) => s.dead);
  const lost = now.calls.unaccounted;
  return [
    { name: "Read", figure: count(sum(now.sources, (s) => s.rows)), unit: "rows", notes: [
      failing ? [`${many(failing, "source")} failing`, "bad"] : [behind ? `up to ${duration(behind)} behind` : "nothing waits to be read"],
    ] },
    { name: "Open calls", figure: count(now.calls.open), unit: "calls", notes: [
      [`${count(now.calls.completed)} ended, ${count(now.calls.incomplete)} of them incomplete`],
      lost ? [`${count(lost)} unaccounted for`, "bad"] : [lost === null ? "" : "all accounted for"],
    ] },
    { name: "Owed", figure: count(sum(now.sinks, (s) => s.pending)), unit: "deliveries", notes: [
      [oldest ? `oldest waits ${duration(oldest)}` : "nothing waits"], [away.join(", "), "warn"],
    ] },
    { name: "Delivered", figure: count(sum(now.sinks, (s) => s.delivered)), unit: "deliveries", notes: [
      dead ? [many(dead, "dead letter"), "warn"] : ["no dead letters"],
    ] },
  ];
}

function showFlow(now) {
  keep(
    at("flow"),
    flowOf(now),
    (step) => step.name,
    (step) => make("li", {}, make("p", { class: "name", text: step.name }), make("p", { class: "figure" }, make("span"), make("i", { text: step.unit })), make("p"), make("p")),
    (tile, step) => {
      const [, figure, ...notes] = tile.children;
      write(figure.firstChild, step.figure);
      notes.forEach((note, place) => {
        const [text = "", kind = ""] = step.notes[place] ?? [];
        write(note, text, `note ${kind}`.trim());
      });
    },
  );
}

function showFacts(list, facts) {
  keep(
    list,
    facts,
    ([name]) => name,
    ([name]) => make("div", {}, make("dt", { text: name }), make("dd")),
    (fact, [, text, kind = "", wide = false]) => {
      if (fact.className !== (wide ? "wide" : "")) fact.className = wide ? "wide" : "";
      write(fact.lastChild, text, kind);
    },
  );
}

function showEvents(events) {
  at("no-events").hidden = Boolean(events);
  write(at("no-events"), "The agent keeps no manager session. To publish AMI events to Kafka, write `ami`, `kafka` and `events` in the configuration.");
  if (!events) return showFacts(at("events"), []);
  const published = events.topic !== "";
  const waiting = events.journal ? `${count(events.journal.events)} (${bytes(events.journal.bytes)})` : "–";
  return showFacts(at("events"), [
    ["Manager session", `${events.session}${events.since ? `, since ${time(events.since)}` : ""}`, events.session === "up" ? "fine" : "bad"],
    ["Asterisk", events.asterisk_version || "not known yet"],
    ["Manager", events.peer],
    ["Events read", count(events.read)],
    ["Left out by filters", count(events.filtered)],
    ...(published ? [
      ["Kafka topic", events.topic],
      ["Publishing", events.publishing, events.publishing === "up" ? "fine" : "warn"],
      ["Acknowledged", count(events.delivered)],
      ["Waiting on disk", waiting],
      ["Refused", count(events.refused), events.refused ? "warn" : ""],
      ["Dropped", count(events.dropped), events.dropped ? "bad" : ""],
    ] : []),
    ["Times without session", `${count(events.gaps)} (${duration(events.gap_seconds)})`, events.gaps ? "warn" : ""],
    ...(because(events) ? [["Why", because(events), "", true]] : []),
  ]);
}

function showDisk(state) {
  showFacts(at("disk"), [
    ["Writable", state.blocked ? "no: reading pauses" : "yes", state.blocked ? "bad" : "fine"],
    ["Calls in use", bytes(state.bytes)],
    ["Events in use", bytes(state.journal_bytes)],
    ["Free on the disk", bytes(state.free_bytes)],
    ["Rows set aside", count(state.set_aside), state.set_aside ? "warn" : ""],
    ["Recordings without call", count(state.unlinked_recordings)],
    ["Directory", state.directory, "id", true],
    ...(state.reason ? [["Why", state.reason, "bad", true]] : []),
  ]);
}

// The hour behind

const measured = (seconds) => {
  const [number, ...unit] = duration(seconds).split(" ");
  return [number, unit.join(" ")];
};
const CHARTS = [
  { column: "backlog", chart: new Chart("Backlog", (v) => [count(v), "deliveries"]) },
  { column: "delivered", chart: new Chart("Delivered", (v) => [rate(v), "a second"]) },
  { column: "latency_p99", chart: new Chart("Latency, 99 %", measured) },
  { column: "events", chart: new Chart("AMI events", (v) => [rate(v), "a second"]), unless: (now) => !now.events },
  { column: "open", chart: new Chart("Open calls", (v) => [count(v), "calls"]), unless: (now) => now.events },
];
at("charts").append(...CHARTS.map(({ chart }) => chart.element));

let points = [];
let newest = 0;

function remember(history) {
  const rows = history.number.map((number, row) => Object.fromEntries(Object.entries(history).filter(([, column]) => Array.isArray(column)).map(([name, column]) => [name, column[row]])));
  points.push(...rows);
  newest = points.at(-1)?.number ?? newest;
  const oldest = (points.at(-1)?.at ?? 0) - LONGEST;
  points = points.filter((point) => point.at >= oldest);
}

function showCharts(now) {
  const until = points.at(-1)?.at ?? Date.parse(now.at) / 1000;
  const range = Number(document.querySelector("[name=range]:checked").value);
  const from = Math.max(until - range, Math.min(points[0]?.at ?? until, until - SHORTEST));
  for (const { column, chart, unless } of CHARTS) {
    chart.element.hidden = Boolean(unless?.(now));
    const latest = points.at(-1)?.[column] ?? null;
    chart.draw(points.map((point) => [point.at, point[column]]), from, until, latest);
  }
}

// The whole

let shown = null;
let started = null;
let failures = 0;

function announce(now) {
  const errors = now.problems.filter((p) => p.severity === "error").length;
  const rest = now.problems.length - errors;
  const found = [errors && many(errors, "error"), rest && many(rest, "warning")].filter(Boolean).join(", ");
  write(at("news"), `The agent is ${now.service.state}${found ? `: ${found}` : ""}.`);
}

function show(now) {
  shown = now;
  const { service } = now;
  document.title = `${service.host}: ${service.state}`;
  write(at("host"), service.host);
  write(at("version"), `asterisk-connector ${service.version}`);
  write(at("uptime"), service.uptime === null ? "" : `up ${duration(Math.round(service.uptime))}`);
  write(at("seen"), `as of ${time(now.at)}`);
  at("state").dataset.state = service.state;
  write(at("word"), capital(service.state));
  write(at("sentence"), capital(service.sentence.replace(new RegExp(`^${service.state}: `, "i"), "")));
  announce(now);
  showProblems(now.problems);
  showFlow(now);
  sources.show(now.sources, (s) => s.name, "No source is configured: write one under `sources` in the configuration.");
  sinks.show(now.sinks, (s) => s.name, "Calls go nowhere: write `api` in the configuration.");
  calls.show(now.recent_calls, (c) => c.id, "No call has ended yet. Make a test call: it is here some seconds after its end.");
  showEvents(now.events);
  showDisk(now.state);
  errors.show(now.recent_errors, (e) => `${e.part} ${e.text}`, "Nothing has gone wrong since the service began.");
  const problems = service.config_problems.length ? `, with ${many(service.config_problems.length, "remark")}: ${service.config_problems.join("; ")}` : "";
  write(at("config"), `${service.config_file}, in force since ${time(service.config_loaded_at)}${problems}`);
  showCharts(now);
}

function away(error) {
  failures += 1;
  if (failures < AWAY_AFTER && shown) return;
  const since = shown ? ` What you see is of ${time(shown.at)}.` : "";
  document.body.classList.add("is-away");
  at("away").hidden = false;
  write(at("away"), `The agent does not answer (${error}).${since} It is asked again every 2 s; on the host: systemctl status asterisk-connector`);
  at("state").dataset.state = "away";
  write(at("word"), "No answer");
  write(at("sentence"), "Nothing is known of the agent now.");
  document.title = "no answer: asterisk-connector";
}

function back() {
  failures = 0;
  document.body.classList.remove("is-away");
  at("away").hidden = true;
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
  if (answer.status === 401) location.replace("/");
  if (!answer.ok) throw new Error(`${answer.status}: ${(await answer.text()).trim()}`);
  return answer.json();
}

/** One look at the agent; after a restart of it the page's own files may be others too. */
async function look() {
  try {
    const now = await ask("/status");
    if (started !== null && started !== now.service.started_at) {
      points = [];
      newest = 0;
      if (shown && shown.service.version !== now.service.version) return location.reload();
    }
    started = now.service.started_at;
    if (!points.length || Date.parse(now.at) / 1000 - points.at(-1).at >= 5) remember(await ask(`/history?after=${newest}`));
    back();
    show(now);
  } catch (error) {
    away(error.name === "TimeoutError" ? "no answer within 5 s" : error instanceof TypeError ? "no connection" : error.message);
  }
  return undefined;
}

let next = null;
let looking = false;

async function turn() {
  clearTimeout(next);
  if (document.hidden || looking) return;
  looking = true;
  await look();
  looking = false;
  next = setTimeout(turn, EVERY);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) turn();
});
document.querySelectorAll("[name=range]").forEach((choice) => choice.addEventListener("change", () => shown && showCharts(shown)));
turn();
