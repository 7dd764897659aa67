/** Numbers, times and sizes for people. `null` and `undefined` are a dash. */

export const NONE = "–";

// Made once: to make one takes longer than to use it a hundred times.
const WHOLE = new Intl.NumberFormat("en");
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** At most `digits` significant digits; thousands apart. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return value.toExponential(digits - 1);
  return Number.isInteger(value) ? WHOLE.format(value) : Number(value.toPrecision(digits)).toString();
}

/** A fixed number of decimals, for columns of numbers. */
export function fixed(value, decimals = 3) {
  return value === null || value === undefined ? NONE : value.toFixed(decimals);
}

/** `0.9123 ± 0.0041`. */
export function withError(value, error, decimals = 4) {
  if (value === null || value === undefined) return NONE;
  return error === null || error === undefined ? fixed(value, decimals) : `${fixed(value, decimals)} ± ${fixed(error, decimals)}`;
}

export function percent(share, decimals = 0) {
  return share === null || share === undefined ? NONE : `${(100 * share).toFixed(decimals)} %`;
}

/** `3 min 20 s`, `2 h 5 min`, `4 d 3 h`, `0.4 s`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const units = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => whole >= size);
  const [name, size] = units[first];
  const rest = units[first + 1] ? Math.floor((whole % size) / units[first + 1][1]) : 0;
  return rest ? `${Math.floor(whole / size)} ${name} ${rest} ${units[first + 1][0]}` : `${Math.floor(whole / size)} ${name}`;
}

/** `just now`, `5 min ago`. `now` in milliseconds. */
export function ago(timestamp, now = Date.now()) {
  if (!timestamp) return NONE;
  const seconds = (now - Date.parse(timestamp)) / 1000;
  return seconds < 5 ? "just now" : `${duration(Math.floor(seconds)).split(" ").slice(0, 2).join(" ")} ago`;
}

/** A moment in the reader's own time zone. */
export function moment(timestamp) {
  if (!timestamp) return NONE;
  return MOMENT.format(new Date(timestamp));
}

/** `14:03:22`. */
export function clock(timestamp) {
  return CLOCK.format(new Date(timestamp));
}

/** `1.4 MB`. */
export function bytes(count) {
  if (count === null || count === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  let value = count;
  while (value >= 1000 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${Number(value.toPrecision(3))} ${units[step]}`;
}

/** `1 job`, `3 jobs`. */
export function plural(count, noun, more = `${noun}s`) {
  return `${number(count)} ${count === 1 ? noun : more}`;
}

/** What a short id looks like in a list: the end of it, which differs. */
export function shortId(id) {
  const at = id.indexOf("_");
  return id.length - at > 9 ? `${id.slice(0, at + 1)}…${id.slice(-6)}` : id;
}

/** `heads_average` -> `heads average`. */
export function words(name) {
  return name.replaceAll("_", " ");
}
