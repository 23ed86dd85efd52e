// How values are written: numbers with their units, times, durations, sizes. Null is a dash: not known.

const NOTHING = "–";
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const count = (value) => (value === null ? NOTHING : whole.format(value));

export const many = (value, one, several = `${one}s`) => `${count(value)} ${value === 1 ? one : several}`;

export const rate = (value) => (value === null ? NOTHING : fine.format(value));

/** Seconds as the two largest units that matter: 12 ms, 3.2 s, 4 min 5 s, 2 h 7 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds === null) return NOTHING;
  if (seconds === 0) return "0 s";
  if (seconds < 1) return `${fine.format(Math.max(1, Math.round(seconds * 1000)))} ms`;
  if (seconds < 59.5) return `${fine.format(seconds)} s`;
  const units = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  const rounded = Math.round(seconds);
  const [large, name, small, below] = units.find(([size]) => rounded >= size);
  const rest = Math.floor((rounded % large) / small);
  return `${Math.floor(rounded / large)} ${name}${rest ? ` ${rest} ${below}` : ""}`;
}

export function bytes(size) {
  if (size === null) return NOTHING;
  let unit = 0;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${fine.format(size)} ${units[unit]}`;
}

/** An instant as the clock of who looks shows it; with its day unless that is today. */
export function time(instant) {
  if (instant === null) return NOTHING;
  const at = new Date(instant);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
}

export const plain = (word) => (word ? word.replaceAll("_", " ") : NOTHING);

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
