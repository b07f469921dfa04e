import { defineConfig } from "vite";

// The manifest stands at dist/manifest.json and names are hashed: settings.py tells django-vite and
// WhiteNoise so. Assets are never inlined, because the pages' policy allows no inline style.
export default defineConfig({
  base: "/static/",
  publicDir: "public",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    manifest: "manifest.json",
    target: ["chrome111", "firefox113", "safari16.4"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: "src/app.ts" },
    reportCompressedSize: true,
  },
});
