/** What the page knows of the case: the JSON that the server wrote into it. */

export type Vector = readonly [number, number, number];

/** How much of a scan there is to see: all of it, a level for small devices, a first look. */
export type Detail = "preview" | "medium" | "full";

export interface Scan {
  readonly n: number;
  /** Names the file behind it, whichever version shows it. */
  readonly home: string;
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
  /** Where its distances to the other jaw are, and what has changed since the version before; or nothing. */
  readonly contacts: string;
  readonly change: string;
}

/** How two scans meet, in mm; their numbers are those of the version. */
export interface Encounter {
  readonly one: number;
  readonly other: number;
  readonly tightest_mm: number | null;
  readonly contact_mm2: number;
  readonly overlap_mm: number;
  readonly gap_mm: number | null;
}

export interface Version {
  readonly number: number;
  readonly shared: string;
  /** Directions in the scans' own coordinates: from the lower to the upper jaw, and out of the mouth. */
  readonly frame: { readonly up: Vector; readonly front: Vector };
  readonly scans: readonly Scan[];
  readonly meetings: readonly Encounter[];
}

export type MarkKind = "distance" | "angle" | "thickness" | "pin";

/** Something measured or pinned, in mm and in the scans' own coordinates. */
export interface Mark {
  readonly kind: MarkKind;
  readonly points: readonly Vector[];
  /** Mm or degrees; a pin has none. */
  readonly value: number | null;
  readonly scan: number | null;
}

export interface KeptMark extends Mark {
  readonly id: string;
  readonly version: number;
}

/** How the scans are seen, so that somebody else can see the same. */
export interface SavedView {
  readonly azimuth: number;
  readonly polar: number;
  /** Millimetres on the shorter side of the picture. */
  readonly across: number;
  readonly x: number;
  readonly y: number;
  readonly z: number;
  /** The numbers of the scans that are shown. */
  readonly shown: readonly number[];
  readonly cut: Cut | null;
}

/** A plane that cuts the scans open: the direction of what is cut away, and its place along that, in mm. */
export type Cut = readonly [number, number, number, number];

export interface Remark {
  readonly id: string;
  readonly kind: "comment" | "approved" | "changes";
  readonly author: string;
  readonly text: string;
  readonly reasons: readonly string[];
  readonly marks: readonly Mark[];
  readonly view: SavedView | null;
  readonly version: number;
  readonly when: string;
  readonly picture: string;
}

export interface Case {
  readonly version: number;
  readonly versions: readonly Version[];
  readonly decides: boolean;
  readonly verdict: { readonly kind: "approved" | "changes" } | null;
  readonly remarks: readonly Remark[];
  readonly marks: readonly KeptMark[];
  readonly seen: string;
  readonly say: string;
  readonly keep: string;
  /** Where a picture that opens the case on a phone is made; nothing where there is none. */
  readonly handover: string;
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
