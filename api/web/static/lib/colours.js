/** Which colour a head has: the same on every chart of a page, told apart also by people who see few colours
 *  (Okabe and Ito 2008), on both themes. The colours themselves are custom properties of `style/base.css`. */

const PALETTE = 8;

/** Head -> number of its colour. Heads that combine modalities come last, whatever a spec's order was. */
export function colourNumbers(heads) {
  const joint = (name) => /^(fused|heads_|naive)/.test(name);
  const sorted = [...new Set(heads)].sort((a, b) => joint(a) - joint(b) || (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map((head, index) => [head, index % PALETTE]));
}

/** A custom property's value now; a canvas cannot read `var(...)`. */
export function property(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The colour of a number of `colourNumbers`, for CSS. */
export function css(number) {
  return `var(--series-${number})`;
}

/** The same for a canvas, as it is in the theme of now. */
export function paint(number) {
  return property(`--series-${number}`);
}

/** A colour that lets `alpha` through. */
export function faded(colour, alpha) {
  return `color-mix(in srgb, ${colour} ${Math.round(alpha * 100)}%, transparent)`;
}
