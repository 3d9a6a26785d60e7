/** Elements made by the script: always from text, never from markup. */

type Children = readonly (Node | string | undefined)[];

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | boolean>> = {},
  ...children: Children
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

export function button(label: string, run: () => void, className = "secondary"): HTMLButtonElement {
  const made = make("button", { type: "button", class: className }, label);
  made.addEventListener("click", run);
  return made;
}

/** On a phone the sheet may lie over the picture: it is pushed down again. */
export function showPicture(): void {
  scrollTo({ top: 0 });
}
