/** The entry: which page an address is, and the frame around it. */
import { Component, html, render, useEffect, useLayoutEffect, useRef, useState } from "./lib/dom.js";
import { follow, useAddress } from "./lib/router.js";
import { ProblemNote } from "./parts/problem.js";
import { ThemeButton, startTheme } from "./parts/theme.js";

/** Pattern, entry of the navigation that it belongs to, title, module. The pattern's group is the page's `id`. */
const PAGES = [
  [/^\/(?:jobs)?$/, "/", "Jobs", () => import("./pages/jobs.js")],
  [/^\/new$/, "/new", "New job", () => import("./pages/new.js")],
  [/^\/jobs\/([\w-]+)$/, "/", "Job", () => import("./pages/job.js")],
  [/^\/compare$/, "/compare", "Compare", () => import("./pages/compare.js")],
  [/^\/experiments\/([\w-]+)$/, "/compare", "Experiment", () => import("./pages/experiment.js")],
  [/^\/datasets$/, "/datasets", "Data sets", () => import("./pages/datasets.js")],
  [/^\/datasets\/(ds_[A-Za-z0-9]{1,60})$/, "/datasets", "Data set", () => import("./pages/dataset.js")],
  [/^\/models$/, "/models", "Models", () => import("./pages/models.js")],
  [/^\/models\/([\w-]+)$/, "/models", "Model", () => import("./pages/model.js")],
  [/^\/workers$/, "/workers", "Workers", () => import("./pages/workers.js")],
];
const NAVIGATION = [
  ["/", "Jobs"],
  ["/new", "New job"],
  ["/compare", "Compare"],
  ["/models", "Models"],
  ["/datasets", "Data sets"],
  ["/workers", "Workers"],
];

const pageOf = (path) => PAGES.find(([pattern]) => pattern.test(path));

/** A page that broke says so, and the others still work. */
class Guard extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  render({ children }, { error }) {
    if (!error) return children;
    return html`<div class="note bad" role="alert">
      <p><strong>This page broke.</strong> ${String(error.message ?? error)}</p>
      <p>That is a defect of the dashboard; the service itself goes on. <a href=${location.href} target="_self">Load the page again</a>.</p>
    </div>`;
  }
}

function Page({ url }) {
  const [loaded, setLoaded] = useState(null);
  const found = pageOf(url.pathname);
  const load = found?.[3];
  useEffect(() => {
    let gone = false;
    load?.().then(
      (module) => gone || setLoaded({ load, View: module.default }),
      (error) => gone || setLoaded({ load, error }),
    );
    return () => {
      gone = true;
    };
  }, [load]);
  useLayoutEffect(() => {
    document.title = `${found ? found[2] : "Not found"} · gblend`;
  }, [found]);
  if (!found) return html`<h1>There is no such page</h1><p><a href="/">All jobs</a></p>`;
  if (loaded?.load !== load) return html`<p class="loading" role="status">Loading…</p>`;
  if (loaded.error) return html`<${ProblemNote} problem=${loaded.error} />`;
  const id = found[0].exec(url.pathname)[1];
  return html`<${Guard} key=${url.pathname}><${loaded.View} id=${id} query=${url.searchParams} /><//>`;
}

function App({ version }) {
  const url = useAddress();
  const main = useRef(null);
  const first = useRef(true);
  const section = pageOf(url.pathname)?.[1];
  useEffect(() => {
    const onClick = (event) => follow(event, pageOf);
    document.addEventListener("click", onClick);
    return () => document.removeEventListener("click", onClick);
  }, []);
  useEffect(() => {
    // Readers of the screen are told of a new page as others see it.
    if (!first.current) main.current.focus({ preventScroll: true });
    first.current = false;
  }, [url.pathname]);
  return html`
    <a class="skip" href="#main">Skip to the content</a>
    <header class="top">
      <a class="brand" href="/"><img src="/assets/icon.svg" alt="" />gblend</a>
      <nav aria-label="Pages">
        ${NAVIGATION.map(([path, name]) => html`<a href=${path} aria-current=${section === path ? "page" : undefined}>${name}</a>`)}
      </nav>
      <${ThemeButton} />
    </header>
    <main id="main" class=${`page-${url.pathname.split("/")[1] || "jobs"}`} tabindex="-1" ref=${main}><${Page} url=${url} /></main>
    <footer class="foot">
      <span>gblend ${version}</span><a href="/docs">API reference</a><a href="/openapi.json">OpenAPI</a><a href="/readyz">Readiness</a>
    </footer>
  `;
}

startTheme();
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} version=${root.dataset.version} />`, root);
