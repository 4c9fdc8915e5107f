/**
 * The contract of reports that are text: an analysis in, a document out, complete with its last line feed. A renderer
 * reads nothing but its arguments and changes nothing, so any file can be rendered again at any time.
 */

import type { Analysis } from '../analysis/model.ts'

export interface RenderOptions {
  /** Columns of the terminal. Only the terminal table looks at it. */
  readonly width: number
  /** ANSI colours. Only the terminal table looks at it. */
  readonly color: boolean
  /** Also what an operation cost: latencies, processor time, counters. */
  readonly details?: boolean
}

export type Renderer = (analysis: Analysis, options: RenderOptions) => string
