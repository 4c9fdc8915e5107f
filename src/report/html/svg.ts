/**
 * Draws a chart specification as SVG text, without a browser. The only file that knows Vega; it is loaded when the
 * first chart is drawn, because it takes longer to load than everything else together.
 */

import type { TopLevelSpec } from 'vega-lite'
import type { ChartSpec } from './charts.ts'
import { escapeHtml } from './escape.ts'

export async function renderSvg(spec: ChartSpec): Promise<string> {
  const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')])
  // Charts are plain data to the rest of the program; whether they are right is seen here, and in the tests.
  const compiled = vegaLite.compile(spec as unknown as TopLevelSpec).spec
  const view = new vega.View(vega.parse(compiled), { renderer: 'none' })
  try {
    // Vega names its charts only where it draws them in a browser.
    const name = `role="graphics-document" aria-label="${escapeHtml(String(spec['description'] ?? ''))}"`
    return (await view.toSVG()).replace('<svg ', `<svg ${name} `)
  } finally {
    view.finalize()
  }
}
