/** What the page knows of the case: the JSON that the server wrote into it. */

export type Vector = readonly [number, number, number];

/** How much of a scan there is to see: all of it, a level for small devices, a first look. */
export type Detail = "preview" | "medium" | "full";

export interface Scan {
  readonly n: number;
  readonly role: string;
  readonly label: string;
  readonly triangles: number;
  readonly colours: boolean;
  readonly preview: string;
  readonly preview_bytes: number;
  readonly medium: string;
  readonly medium_bytes: number;
  readonly full: string;
  readonly full_bytes: number;
}

export interface Case {
  readonly seen: string;
  /** Directions in the scans' own coordinates: from the lower to the upper jaw, and out of the mouth. */
  readonly frame: { readonly up: Vector; readonly front: Vector };
  readonly scans: readonly Scan[];
}

export function readCase(): Case {
  return JSON.parse(element("#case").textContent ?? "") as Case;
}

/** The element that the template promises; its absence is a fault of ours, not of the visitor. */
export function element<E extends HTMLElement = HTMLElement>(
  selector: string,
  within: ParentNode = document,
): E {
  const found = within.querySelector<E>(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}
