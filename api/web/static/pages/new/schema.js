/** What the JSON schema of the service's OpenAPI says about a value: its kind, its branches, its defaults. No markup. */

export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** Deep equality of JSON; the order of keys means nothing. */
export function same(a, b) {
  if (Object.is(a, b) || a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, k) => same(item, b[k]));
  if (!isObject(a) || !isObject(b)) return false;
  const [left, right] = [a, b].map((value) => Object.keys(value).filter((key) => value[key] !== undefined));
  return left.length === right.length && left.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

/** Like `{...object, [name]: value}`, without what is `undefined`; a key may have any name. */
export function having(object, name, value) {
  const others = Object.entries(object ?? {});
  const at = others.findIndex(([key]) => key === name);
  others.splice(at < 0 ? others.length : at, at < 0 ? 0 : 1, [name, value]);
  return Object.fromEntries(others.filter(([, one]) => one !== undefined));
}

export class Schema {
  /** @param openapi the service's OpenAPI document */
  constructor(openapi) {
    this.schemas = openapi.components.schemas;
  }

  /** The node of a component: `JobSpec`. */
  named(name) {
    return { $ref: `#/components/schemas/${name}` };
  }

  /** A node with its `$ref` followed; what stands beside the reference (description, default) wins. */
  followed(node) {
    let found = node;
    while (found?.$ref) {
      const { $ref, ...beside } = found;
      found = { ...this.schemas[$ref.split("/").at(-1)], ...beside };
    }
    return found ?? {};
  }

  /**
   * A node in the terms of a form. `kind`: object, tagged (one of several objects, told apart by `tag`), map (entries of
   * any name), list, tuple, choice (of `branches`), enum, const, string, number, integer, boolean, any.
   */
  shape(raw) {
    const node = this.followed(raw);
    const nullable = (node.anyOf ?? []).some((branch) => branch.type === "null");
    const branches = (node.anyOf ?? []).filter((branch) => branch.type !== "null");
    if (branches.length === 1) {
      const { anyOf, ...beside } = node;
      return { ...this.shape({ ...this.followed(branches[0]), ...beside }), nullable };
    }
    return { node, nullable, title: node.title, description: node.description, kind: kindOf(node, branches), branches, tag: node.discriminator?.propertyName };
  }

  /** Names of a tagged node's branches, in the order of the schema. */
  tags({ node, tag }) {
    return (node.oneOf ?? []).map((branch) => this.followed(branch).properties[tag].const);
  }

  /** The branch of a tagged node that is called so, as a shape; `null` where there is none. */
  branch({ node }, name) {
    const mapping = node.discriminator.mapping;
    return Object.hasOwn(mapping, name) ? this.shape({ $ref: mapping[name] }) : null;
  }

  /** What a value that is left out means; `undefined` where it may not be left out. */
  defaultOf(raw, required = false) {
    const shape = this.shape(raw);
    if ("default" in shape.node) return shape.node.default;
    if (required) return undefined;
    if (shape.nullable) return null;
    return shape.kind === "map" ? {} : undefined;
  }

  /** The shape of the object that a value is; `null` where it is none. */
  objectOf(raw, value) {
    const shape = this.shape(raw);
    if (!isObject(value)) return null;
    if (shape.kind === "object") return shape;
    if (shape.kind === "tagged") return this.branch(shape, value[shape.tag]);
    const objects = shape.kind === "choice" ? shape.branches.map((branch) => this.shape(branch)).filter((branch) => branch.kind === "object") : [];
    return objects[0] ?? null;
  }

  /** A value with every default written out, as far as the schema goes. */
  filled(raw, value, required = false) {
    const given = value === undefined ? this.defaultOf(raw, required) : value;
    const object = this.objectOf(raw, given);
    if (object) {
      const known = Object.entries(object.node.properties ?? {}).map(([name, node]) => [name, this.filled(node, given[name], object.node.required?.includes(name))]);
      return Object.fromEntries([...Object.entries(given), ...known].filter(([, one]) => one !== undefined));
    }
    return Array.isArray(given) ? given.map((item, k) => this.filled(this.item(raw, k), item, true)) : given;
  }

  /** A value without what says no more than the defaults do. What the schema does not know stays. */
  minimal(raw, value) {
    const object = this.objectOf(raw, value);
    if (object) {
      const tag = this.shape(raw).tag;
      const { properties = {}, required = [] } = object.node;
      const kept = Object.entries(value).filter(([name, one]) => {
        if (one === undefined) return false;
        if (!Object.hasOwn(properties, name) || required.includes(name) || name === tag) return true;
        return !same(this.filled(properties[name], one), this.filled(properties[name], undefined));
      });
      return Object.fromEntries(kept.map(([name, one]) => [name, Object.hasOwn(properties, name) ? this.minimal(properties[name], one) : one]));
    }
    return Array.isArray(value) ? value.map((item, k) => this.minimal(this.item(raw, k), item)) : value;
  }

  /** The node of a list's or tuple's item. */
  item(raw, index) {
    const { node } = this.shape(raw);
    return node.prefixItems?.[index] ?? node.items ?? {};
  }

  /** An object after it has become another branch: fields that both have and mean alike stay. */
  retagged(shape, value, name) {
    const [old, next] = [this.branch(shape, value?.[shape.tag]), this.branch(shape, name)];
    const alike = (field) => field !== shape.tag && JSON.stringify(bare(old?.node.properties?.[field])) === JSON.stringify(bare(next.node.properties[field]));
    const kept = Object.entries(value ?? {}).filter(([field]) => Object.hasOwn(next.node.properties, field) && alike(field));
    return Object.fromEntries([[shape.tag, name], ...kept]);
  }
}

function kindOf(node, branches) {
  if (node.discriminator) return "tagged";
  if (branches.length > 1) return "choice";
  if ("const" in node) return "const";
  if (node.enum) return "enum";
  if (node.type === "object") return node.properties ? "object" : "map";
  if (node.type === "array") return node.prefixItems ? "tuple" : "list";
  return node.type ?? "any";
}

function bare(node) {
  const { default: _, description: __, ...rest } = node ?? {};
  return rest;
}
