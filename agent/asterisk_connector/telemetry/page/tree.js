// Keeping the page's elements: rows stay the same elements while their thing stays, so that focus and selection do.

/** A new element with properties as attributes (`text` is its text) and children. */
export function make(name, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

const written = new WeakMap();

/** Sets a text (what stands in backticks is code) and the class, only where they changed. */
export function write(element, text, classes) {
  if (written.get(element) !== text) {
    written.set(element, text);
    element.replaceChildren(...text.split("`").map((part, place) => (place % 2 ? make("code", { text: part }) : part)));
  }
  if (classes !== undefined && element.className !== classes) element.className = classes;
}

/** One child of `parent` for each item, in their order: known keys keep their element, `fill` brings it up to date. */
export function keep(parent, items, key, create, fill) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const name = String(key(item, place));
    let child = known.get(name);
    if (!child) {
      child = create(item);
      child.dataset.key = name;
    }
    known.delete(name);
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
    fill(child, item);
  });
  known.forEach((child) => child.remove());
}

/** A table with a heading for each column; `cell(item)` gives [text, class, more]. The first column names its row. */
export class Table {
  constructor(table, empty, columns) {
    this.table = table;
    this.empty = empty;
    this.columns = columns;
    const heads = columns.map(({ title, kind = "" }) => make("th", { text: title, scope: "col", role: "columnheader", class: kind }));
    this.body = make("tbody", { role: "rowgroup" });
    table.append(make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), this.body);
  }

  show(items, key, whenEmpty) {
    this.empty.hidden = items.length > 0;
    write(this.empty, whenEmpty);
    this.table.tHead.hidden = items.length === 0;
    keep(this.body, items, key, () => this.row(), (row, item) => {
      this.columns.forEach(({ cell, kind = "" }, place) => {
        const [text, classes = "", why = ""] = [].concat(cell(item));
        const [main, more] = row.children[place].children;
        row.children[place].className = kind;
        write(main, text, classes);
        write(more, why);
        more.hidden = !why;
      });
    });
  }

  row() {
    const cells = this.columns.map(({ title }, place) => {
      const inside = [make("span"), make("span", { class: "why" })];
      return place === 0
        ? make("th", { scope: "row", role: "rowheader" }, ...inside)
        : make("td", { "data-label": title, role: "cell" }, ...inside);
    });
    return make("tr", { role: "row" }, ...cells);
  }
}
