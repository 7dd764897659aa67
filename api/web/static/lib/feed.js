/**
 * A job's history, whole and live: what was, thinned out by the server, then every event as it comes.
 *
 * The job is asked for first; its `last_seq` is where the stream begins, after everything else was asked for too. So no
 * event is missed, and one that came in between is met twice and changes nothing: rows are kept by what they are about
 * (a super-epoch; a curve and its epoch), not in the order of their coming.
 */
import { address, allOf, get } from "./api.js";
import { useEffect, useState } from "./dom.js";
import { Stream } from "./stream.js";

const SUPER_EPOCHS = 500;
const POINTS_PER_CURVE = 300;
const TAIL = 200;
const LONGEST_TAIL = 400;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

export class Feed {
  constructor(jobId) {
    this.path = `/v1/jobs/${jobId}`;
    /** @type {any} the event `run.started`'s data: heads, counts, the primary metric */
    this.run = null;
    this.superEpochs = new Map();
    /** curve (`head|split|metric`) -> epoch -> `{epoch, value, se, seq}`; of the joint training */
    this.curves = new Map();
    this.events = [];
    this.phases = [];
    this.statuses = [];
    this.marked = new Set();
    this.state = "connecting";
    this.loaded = false;
    /** Why the history is not whole yet. */
    this.problem = null;
    this.version = 0;
    this.listeners = new Set();
    this.abort = new AbortController();
    this.load();
  }

  /** What was, and the stream from there on. Asked for again until it came: what is known already does no harm. */
  async load() {
    for (let wait = FIRST_WAIT; ; wait = Math.min(LONGEST_WAIT, wait * 2)) {
      try {
        const job = await this.get("");
        this.stream ??= this.follow(job.last_seq);
        await Promise.all([this.loadWeights(), this.loadTail(job.last_seq), this.loadCurves(), this.loadMarks()]);
        if (this.problem) this.tell({ problem: null });
        return;
      } catch (problem) {
        if (this.abort.signal.aborted) return;
        this.tell({ problem });
        if (!problem.isPassing) return;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  follow(after) {
    return new Stream({
      path: `${this.path}/events/stream`,
      after,
      onEvent: (event) => this.take(event),
      onState: (state) => this.tell({ state }),
    });
  }

  async loadWeights() {
    const page = await this.get("/super-epochs", { max_points: SUPER_EPOCHS });
    page.data.forEach((row) => this.keepSuperEpoch(row));
    this.tell({ loaded: true });
  }

  async loadTail(last) {
    const page = await this.get("/events", { after: Math.max(0, last - TAIL), limit: TAIL });
    const known = new Set(page.data.map((event) => event.seq));
    this.events = [...page.data, ...this.events.filter((event) => !known.has(event.seq))];
    this.tell({});
  }

  async loadCurves() {
    const [started] = (await this.get("/events", { type: "run.started", limit: 1 })).data;
    if (!started) return;
    this.run = started.data;
    const heads = [...this.run.heads, ...(this.run.heads.length > 1 ? ["heads_average"] : [])];
    const metrics = [...new Set(["loss", this.run.metric])];
    const asked = metrics.flatMap((metric) => heads.map((head) => ({ scope: "epoch", head, metric, max_points: POINTS_PER_CURVE })));
    await Promise.all(
      asked.map(async (query) => {
        (await this.get("/metrics", query)).data.forEach((row) => this.keepPoint(row));
        this.tell({});
      }),
    );
  }

  async loadMarks() {
    const types = ["phase.started", "job.status", "job.created"];
    const marks = await allOf(`${this.path}/events`, { type: types }, { signal: this.abort.signal });
    marks.forEach((event) => this.mark(event));
    this.tell({});
  }

  get(path, query) {
    return get(address(this.path + path, query), { signal: this.abort.signal });
  }

  take(event) {
    // A tail that was asked for again, after the service was away, may have it already.
    if (event.seq > (this.events.at(-1)?.seq ?? 0)) this.events.push(event);
    if (this.events.length > LONGEST_TAIL) this.events = this.events.slice(-TAIL);
    this.mark(event);
    const data = event.data;
    if (event.type === "run.started") this.run = data;
    if (event.type === "super_epoch.weights") {
      const weights = Object.fromEntries(data.heads.map((head) => [head.head, head.weight]));
      this.keepSuperEpoch({ ...data, weights, seq: event.seq, created_at: event.created_at });
    }
    if (event.type === "epoch.completed") {
      for (const measured of data.measurements) this.keepMeasurement(data.epoch, measured, event.seq);
    }
    this.tell({});
  }

  keepSuperEpoch(row) {
    const known = this.superEpochs.get(row.super_epoch);
    if (!known || known.seq <= row.seq) this.superEpochs.set(row.super_epoch, row);
  }

  keepMeasurement(epoch, measured, seq) {
    const { head, split, loss, loss_se } = measured;
    this.keepPoint({ head, split, metric: "loss", epoch, value: loss, se: loss_se, seq });
    const metric = this.run?.metric;
    if (metric) this.keepPoint({ head, split, metric, epoch, value: measured.score ?? measured.accuracy, se: measured.score_se, seq });
  }

  keepPoint({ head, split, metric, epoch, value, se, seq }) {
    const key = `${head}|${split}|${metric}`;
    if (!this.curves.has(key)) this.curves.set(key, new Map());
    const curve = this.curves.get(key);
    const known = curve.get(epoch);
    if (!known || known.seq <= seq) curve.set(epoch, { epoch, value, se, seq });
  }

  mark(event) {
    const list = event.type === "phase.started" ? this.phases : event.type.startsWith("job.") ? this.statuses : null;
    if (!list || this.marked.has(event.seq)) return;
    this.marked.add(event.seq);
    list.push({ seq: event.seq, at: Date.parse(event.created_at), attempt: event.attempt, ...event.data });
    if (list.length > 1 && list.at(-2).seq > event.seq) list.sort((a, b) => a.seq - b.seq);
  }

  /** The super-epochs in order. */
  history() {
    return [...this.superEpochs.values()].sort((a, b) => a.super_epoch - b.super_epoch);
  }

  /** A curve's points in order of epoch; empty where nothing was measured. */
  curve(head, split, metric) {
    const found = this.curves.get(`${head}|${split}|${metric}`);
    return found ? [...found.values()].sort((a, b) => a.epoch - b.epoch) : [];
  }

  /** Tell listeners, at most once for each picture that the browser paints. */
  tell(changes) {
    Object.assign(this, changes);
    this.version += 1;
    if (this.pending) return;
    this.pending = true;
    const now = () => {
      this.pending = false;
      for (const listener of this.listeners) listener(this.version);
    };
    // A hidden page paints nothing, but what it shows when somebody comes back is up to date.
    if (document.hidden) setTimeout(now, 200);
    else requestAnimationFrame(now);
  }

  close() {
    this.abort.abort();
    this.stream?.close();
    this.listeners.clear();
  }
}

/** A job's feed; the component renders anew when it has changed. */
export function useFeed(jobId) {
  const [feed, setFeed] = useState(null);
  const [, setVersion] = useState(0);
  useEffect(() => {
    const made = new Feed(jobId);
    made.listeners.add(setVersion);
    setFeed(made);
    return () => made.close();
  }, [jobId]);
  return feed;
}
