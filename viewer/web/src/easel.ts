/**
 * The canvas that scans are drawn on, and who draws. A graphics card smooths every edge in passing. Where
 * there is none (a remote desktop, an old office computer) the processor draws in its stead, and smoothing
 * would take most of its time: there a picture comes roughly at once, and finely when nothing moves.
 */

import { type Camera, type Scene, WebGLRenderer } from "three";

/** Pixels of a canvas to one of the page, at most. */
export const finest = 2;
const processors = /swiftshader|llvmpipe|softpipe|software|basic render|gdi generic/i;

export class Easel {
  readonly canvas: HTMLCanvasElement;
  /** A fine picture takes long; whoever waits for one should be shown a rough one first. */
  readonly isLaborious: boolean;
  private readonly renderer: WebGLRenderer;

  /** Throws when the browser has no WebGL. */
  constructor() {
    let context = openCanvas({ smooth: true });
    this.isLaborious = processors.test(whoDraws(context));
    if (this.isLaborious) {
      context.getExtension("WEBGL_lose_context")?.loseContext();
      context = openCanvas({ smooth: false });
    }
    this.canvas = context.canvas as HTMLCanvasElement;
    this.renderer = new WebGLRenderer({ canvas: this.canvas, context });
    this.renderer.localClippingEnabled = true;
  }

  resize(width: number, height: number): void {
    this.renderer.setPixelRatio(this.pixels(false));
    this.renderer.setSize(width, height);
  }

  draw(scene: Scene, camera: Camera, fine: boolean): void {
    const pixels = this.pixels(fine);
    if (pixels !== this.renderer.getPixelRatio()) this.renderer.setPixelRatio(pixels);
    this.renderer.render(scene, camera);
  }

  /** Four pixels in the place of one are a smooth edge, once the browser has put them together. */
  private pixels(fine: boolean): number {
    if (this.isLaborious) return fine ? finest : 1;
    return Math.min(devicePixelRatio, finest);
  }
}

function openCanvas({ smooth }: { smooth: boolean }): WebGL2RenderingContext {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("webgl2", { alpha: true, antialias: smooth });
  if (!context) throw new Error("the browser has no WebGL");
  return context;
}

function whoDraws(context: WebGL2RenderingContext): string {
  const name = String(context.getParameter(context.RENDERER));
  if (name !== "WebKit WebGL") return name;
  // What Chromium and Safari say in place of the name; Firefox, which tells it, warns of being asked like this.
  const told = context.getExtension("WEBGL_debug_renderer_info");
  return told ? String(context.getParameter(told.UNMASKED_RENDERER_WEBGL)) : name;
}
