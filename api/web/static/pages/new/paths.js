/** Ways through a spec: JSON pointers as the service writes them, and the ids of the fields that stand for them. */

/** `#/dataset/modalities/1/column` as its parts. */
export function partsOf(pointer) {
  return (pointer ?? "#").replace(/^#?\/?/, "").split("/").filter(Boolean).map((part) => decoded(part).replaceAll("~1", "/").replaceAll("~0", "~"));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** One text for a path, whether its indices are numbers or texts. */
export const keyOf = (path) => JSON.stringify(path.map(String));

/** The id of the field of a path. */
export const idOf = (path) => `spec/${path.map((part) => encodeURIComponent(part)).join("/")}`;

/** A path for people: `dataset.modalities[1].column`. */
export function named(path) {
  return path.reduce((text, part) => (/^\d+$/.test(part) ? `${text}[${part}]` : text ? `${text}.${part}` : String(part)), "");
}

/** The value at a path; `undefined` where there is none. */
export function valueAt(value, path) {
  return path.reduce((found, part) => (typeof found === "object" && found !== null && Object.hasOwn(found, part) ? found[part] : undefined), value);
}

/** The name that an issue's hint proposes; `null` where it proposes none. */
export const wantedBy = (issue) => /^did you mean (['"])([^\\]*)\1\?/.exec(issue.hint ?? "")?.[2] ?? null;

/** Whether there is a field of exactly this path on the page. */
export const isShown = (path) => document.getElementById(idOf(path)) !== null;

/** Move the focus to the field of a path, or to the nearest one around it; what hides it is opened. */
export function focusOn(path) {
  for (let length = path.length; length >= 0; length -= 1) {
    const field = document.getElementById(idOf(path.slice(0, length)));
    if (!field) continue;
    for (let around = field.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
    field.focus();
    field.scrollIntoView({ block: "center" });
    return;
  }
}
