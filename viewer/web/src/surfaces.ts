/**
 * From a GLB's bytes to a surface that can be drawn, tapped and cut. A first look is made here at once;
 * what is larger is made by a worker, so that no finger waits for it.
 */

import {
  BufferAttribute,
  BufferGeometry,
  ClampToEdgeWrapping,
  SRGBColorSpace,
  Texture,
} from "three";
import { type Hit, type Tree, type Triangles, buildTree, cast, cut } from "./bvh";
import { DownloadError } from "./download";
import { type Model, readGlb } from "./glb";
import type { Answered, Asked } from "./mesh.worker";
import { type Relief, relief } from "./relief";

type Triple = readonly [number, number, number];

/** What is made here at once: as much as a first look has, in bytes and in triangles. */
const smallBytes = 300_000;
const smallTriangles = 60_000;

export class Surface implements Triangles {
  readonly geometry = new BufferGeometry();
  readonly texture?: Texture | undefined;
  readonly positions: Float32Array;
  readonly corners: Uint32Array;
  /** Four bytes a vertex of its own, if it brings any. */
  readonly colours?: BufferAttribute | undefined;

  constructor(
    model: Model,
    { normals, hollow }: Relief,
    private tree?: Tree,
  ) {
    this.positions = model.positions;
    this.corners = model.corners;
    this.geometry.setAttribute("position", new BufferAttribute(model.positions, 3));
    this.geometry.setAttribute("normal", new BufferAttribute(normals, 3));
    this.geometry.setAttribute("hollow", new BufferAttribute(hollow, 1, true));
    this.geometry.setIndex(new BufferAttribute(model.corners, 1));
    if (model.places) this.geometry.setAttribute("uv", new BufferAttribute(model.places, 2));
    if (model.colours) {
      this.colours = new BufferAttribute(model.colours, 4, true);
      this.geometry.setAttribute("color", this.colours);
    }
    if (model.image) this.texture = textureOf(model.image);
  }

  get triangles(): number {
    return this.corners.length / 3;
  }

  /** Whether taps and cuts can be answered without a wait. */
  get ready(): boolean {
    return this.tree !== undefined || this.triangles <= smallTriangles;
  }

  take(tree: Tree): void {
    this.tree = tree;
  }

  hit(from: Triple, along: Triple, after = 0, accept?: (distance: number) => boolean): Hit | undefined {
    return cast(this.grown(), this, from, along, after, accept);
  }

  section(normal: Triple, constant: number): Float32Array {
    return cut(this.grown(), this, normal, constant);
  }

  dispose(): void {
    this.geometry.dispose();
    this.texture?.dispose();
    (this.texture?.image as ImageBitmap | undefined)?.close();
  }

  private grown(): Tree {
    this.tree ??= buildTree(this);
    return this.tree;
  }
}

export async function readSurface(bytes: ArrayBuffer): Promise<Surface> {
  try {
    if (bytes.byteLength <= smallBytes) {
      const model = await readGlb(bytes);
      return new Surface(model, await relief(model));
    }
    return await bench().make(bytes);
  } catch {
    throw new DownloadError("content");
  }
}

function textureOf(image: ImageBitmap): Texture {
  const texture = new Texture(image);
  texture.flipY = false;
  texture.colorSpace = SRGBColorSpace;
  texture.wrapS = texture.wrapT = ClampToEdgeWrapping;
  texture.needsUpdate = true;
  return texture;
}

/** The worker, and who waits for what of it. */
class Bench {
  private readonly worker = new Worker(workerAddress(), { type: "module" });
  private readonly waiting = new Map<number, (surface: Surface | undefined) => void>();
  private readonly growing = new Map<number, Surface>();
  private last = 0;

  constructor() {
    this.worker.addEventListener("message", ({ data }: MessageEvent<Answered>) => this.take(data));
    this.worker.addEventListener("error", () => this.giveUp());
  }

  async make(bytes: ArrayBuffer): Promise<Surface> {
    const id = ++this.last;
    const made = new Promise<Surface | undefined>((resolve) => this.waiting.set(id, resolve));
    const asked: Asked = { id, bytes };
    this.worker.postMessage(asked, [bytes]);
    const surface = await made;
    if (!surface) throw new Error("the worker could not read it");
    return surface;
  }

  private take(answered: Answered): void {
    const { id, what } = answered;
    if (what === "tree") {
      this.growing.get(id)?.take(answered.tree);
      this.growing.delete(id);
      return;
    }
    const surface = what === "surface" ? new Surface(answered.model, answered.relief) : undefined;
    if (surface) this.growing.set(id, surface);
    this.waiting.get(id)?.(surface);
    this.waiting.delete(id);
  }

  private giveUp(): void {
    for (const resolve of this.waiting.values()) resolve(undefined);
    this.waiting.clear();
  }
}

let only: Bench | undefined;

function bench(): Bench {
  only ??= new Bench();
  return only;
}

/** The build knows the worker's name; the page says it. */
function workerAddress(): string {
  const said = document.querySelector<HTMLScriptElement>("script[data-worker]")?.dataset.worker;
  if (!said) throw new Error("the page names no worker");
  return said;
}
