/** Charts as files: a canvas as PNG with title and legend, an SVG with its colours written into it. */
import { property } from "../lib/colours.js";
import { save } from "../lib/csv.js";

const STYLED = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font", "font-size", "font-family", "font-weight", "text-anchor", "opacity", "dominant-baseline"];

/** Save what uPlot drew, under its title and above its legend (`[{name, colour}]`). */
export function savePng(name, plot, title, legend) {
  const source = plot.ctx.canvas;
  const scale = devicePixelRatio;
  const head = 34 * scale;
  const foot = 30 * scale;
  const canvas = Object.assign(document.createElement("canvas"), { width: source.width, height: source.height + head + foot });
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = property("--surface");
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.fillStyle = property("--text");
  ctx.textBaseline = "middle";
  ctx.font = `600 ${14 * scale}px system-ui, sans-serif`;
  ctx.fillText(title, 12 * scale, head / 2, canvas.width - 24 * scale);
  ctx.drawImage(source, 0, head);
  ctx.font = `${12 * scale}px system-ui, sans-serif`;
  let x = 12 * scale;
  const y = head + source.height + foot / 2;
  for (const { name: text, colour } of legend) {
    ctx.fillStyle = colour;
    ctx.fillRect(x, y - 5 * scale, 10 * scale, 10 * scale);
    ctx.fillStyle = property("--text");
    ctx.fillText(text, x + 15 * scale, y);
    x += 15 * scale + ctx.measureText(text).width + 18 * scale;
  }
  canvas.toBlob((blob) => save(`${name}.png`, blob), "image/png");
}

/** Save an SVG element; what style sheets gave it becomes attributes, since a file has no style sheet. */
export function saveSvg(name, element) {
  const copy = element.cloneNode(true);
  const originals = [element, ...element.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((node, index) => {
    const style = getComputedStyle(originals[index]);
    for (const attribute of STYLED) {
      const value = style.getPropertyValue(attribute);
      if (value && !(attribute === "font")) node.setAttribute(attribute, value);
    }
    node.removeAttribute("class");
    node.removeAttribute("style");
  });
  const { width, height } = element.getBoundingClientRect();
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.style.background = "";
  save(`${name}.svg`, new XMLSerializer().serializeToString(copy), "image/svg+xml");
}
