import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** The node that `npm run dev` works with. Its calls go through the development server, as if it were the only one. */
const NODE = process.env.STEG_NODE ?? 'http://127.0.0.1:8081';

/** A node fills this in when it serves the page; in development there is none that does. */
function clusterInDevelopment(): Plugin {
  const cluster = { cluster_name: 'development', node_id: 'dev', nodes: [{ id: 'dev', origin: NODE }] };
  return {
    name: 'cluster-in-development',
    apply: 'serve',
    transformIndexHtml: (html) => html.replace('{{cluster}}', JSON.stringify(cluster).replaceAll('"', '&quot;')),
  };
}

export default defineConfig({
  plugins: [svelte(), clusterInDevelopment()],
  build: {
    // Browsers that know light-dark(), 2024 and newer.
    target: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    // The page is served with a policy that forbids data: addresses, and a chunk that is loaded later may be asked of a node
    // that has died meanwhile: everything is one script and one style sheet.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: false,
    chunkSizeWarningLimit: 300,
  },
  server: {
    proxy: Object.fromEntries(['/api', '/cluster', '/admin', '/docs'].map((path) => [path, NODE])),
  },
  test: { include: ['src/**/*.test.ts'] },
});
