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
import type { Made } from "./mesh.worker";
import { type Relief, relief } from "./relief";

type Triple = readonly [number, number, number];

/** What is made here at once: as much as a first look has. */
const smallBytes = 300_000;

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

  /** A first look grows its tree when it is first tapped. */
  private grown(): Tree {
    if (!this.tree) {
      this.tree = buildTree(this);
      this.geometry.index!.needsUpdate = true;
    }
    return this.tree;
  }
}

export async function readSurface(bytes: ArrayBuffer): Promise<Surface> {
  try {
    if (bytes.byteLength <= smallBytes) {
      const model = await readGlb(bytes);
      return new Surface(model, relief(model));
    }
    return await madeBeside(bytes);
  } catch (error) {
    throw error instanceof DownloadError ? error : new DownloadError("content");
  }
}

let expected = false;

/** Has the worker come beside the first large file, and not after it. */
export function expectLarge(): void {
  if (expected) return;
  expected = true;
  const hint = document.createElement("link");
  hint.rel = "modulepreload";
  hint.href = workerAddress();
  document.head.append(hint);
}

function textureOf(image: ImageBitmap): Texture {
  const texture = new Texture(image);
  texture.flipY = false;
  texture.colorSpace = SRGBColorSpace;
  texture.wrapS = texture.wrapT = ClampToEdgeWrapping;
  texture.needsUpdate = true;
  return texture;
}

/** When the worker of the scan before has ended. */
let before: Promise<unknown> = Promise.resolve();

/**
 * Has a worker make a surface. One scan at a time, each by a worker of its own: what it took to make one
 * goes with the worker, and three scans take no more memory than one.
 */
function madeBeside(bytes: ArrayBuffer): Promise<Surface> {
  const made = before.then(() => answerOf(bytes));
  before = made.catch(() => {});
  return made.then((found) => {
    if (!found) throw new Error("the worker could not read it");
    return new Surface(found.model, found.relief, found.tree);
  });
}

function answerOf(bytes: ArrayBuffer): Promise<Made | undefined> {
  const worker = new Worker(workerAddress(), { type: "module" });
  return new Promise<Made | undefined>((resolve, reject) => {
    worker.addEventListener("message", ({ data }: MessageEvent<Made | undefined>) => resolve(data));
    // The worker itself did not arrive: what is broken is the line, and not the file.
    worker.addEventListener("error", () => reject(new DownloadError("connection")));
    worker.postMessage(bytes, [bytes]);
  }).finally(() => worker.terminate());
}

/** The build knows the worker's name; the page says it. */
function workerAddress(): string {
  const said = document.querySelector<HTMLScriptElement>("script[data-worker]")?.dataset.worker;
  if (!said) throw new Error("the page names no worker");
  return said;
}
