/** Markup and state for every component: htm over preact, and preact's hooks. */
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";

export { Component, Fragment, render } from "../vendor/preact.js";
export { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";

/** Tagged template: `html`<p class="x">${text}</p>``. Values are escaped; there is no way around that. */
export const html = htm.bind(h);
