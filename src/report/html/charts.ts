/**
 * The charts, as Vega-Lite specifications: plain data, made from an analysis, drawn by svg.ts.
 *
 * The bars have the layout that readers of RelStorage's announcements know: a row per concurrency kind, a column per
 * object count, workers along the x axis, a colour per contender; with a single object count, kinds stand side by side.
 * Every facet has a y axis of its own, because times of different object counts and kinds differ too much to share
 * one. Colours that must suit a light and a dark page are `currentColor`.
 */

import type { Analysis, Estimate, Group } from '../../analysis/model.ts'
import { concurrencyKinds } from '../../results/schema.ts'
import type { UnmeasuredCell } from '../footnotes.ts'
import { objectsText, settingText } from '../phrases.ts'

export type ChartSpec = Readonly<Record<string, unknown>>

/** Okabe and Ito's palette without black and yellow: told apart by colour-blind readers, legible on light and dark. */
const palette = ['#2f86d1', '#e69f00', '#009e73', '#d55e00', '#cc79a7', '#56b4e9', '#8a8a8a', '#a6761d']

const ink = 'currentColor'
const schema = 'https://vega.github.io/schema/vega-lite/v6.json'

const config = {
  background: null,
  font: 'system-ui, sans-serif',
  view: { stroke: null },
  axis: {
    labelColor: ink,
    titleColor: ink,
    labelFontSize: 11,
    titleFontSize: 11,
    titleFontWeight: 'normal',
    domainColor: ink,
    tickColor: ink,
    gridColor: ink,
    gridOpacity: 0.15,
    domainOpacity: 0.4,
    tickOpacity: 0.4,
  },
  header: { labelColor: ink, titleColor: ink, labelFontSize: 12, labelFontWeight: 'bold' },
  legend: { labelColor: ink, titleColor: ink, labelFontSize: 12 },
} as const

const durationLabel =
  "datum.value == 0 ? '0' : datum.value >= 1e9 ? format(datum.value / 1e9, '~g') + ' s' : datum.value >= 1e6 ? format(datum.value / 1e6, '~g') + ' ms' : datum.value >= 1e3 ? format(datum.value / 1e3, '~g') + ' µs' : format(datum.value, '~g') + ' ns'"

/** Time per operation in all settings of one scenario. `footnote` numbers the reasons of cells without a result. */
export function timeChart(
  analysis: Analysis,
  scenario: string,
  footnote: (cell: UnmeasuredCell) => number,
): ChartSpec {
  const all = groupsOf(analysis, scenario)
  const possible = all.filter(({ cells }) => cells.some(({ status }) => status !== 'skipped'))
  // What nobody can do would be an empty plot; the table has the reasons.
  const groups = possible.length === 0 ? all : possible
  const labels = analysis.contenders.map(({ label }) => label)
  const values = groups.flatMap(({ setting, cells }) =>
    cells.map((cell) => ({
      kind: setting.concurrency.kind,
      objects: objectsText(setting.objects),
      panel: `${setting.concurrency.kind}, ${objectsText(setting.objects)}`,
      workers: setting.concurrency.workers,
      contender: cell.contender,
      ...(cell.status === 'measured'
        ? {
            time: cell.timePerOperationNs.median,
            low: cell.timePerOperationNs.interval?.low ?? cell.timePerOperationNs.min,
            high: cell.timePerOperationNs.interval?.high ?? cell.timePerOperationNs.max,
          }
        : { note: `${cell.status === 'missing' ? 'not reached' : cell.status} [${footnote(cell)}]` }),
    })),
  )
  const workersPerKind = concurrencyKinds.map(
    (kind) => new Set(values.filter((value) => value.kind === kind).map(({ workers }) => workers)).size,
  )
  const x = { field: 'workers', type: 'ordinal', title: 'workers', axis: { labelAngle: 0 } }
  const xOffset = { field: 'contender', sort: labels, scale: { paddingInner: 0.08 } }
  return {
    $schema: schema,
    description: `Time per operation of ${scenario}, a bar per contender; lower is better`,
    config,
    data: { values },
    facet: facetsOf(values),
    resolve: {
      scale: { x: 'independent', y: 'independent', xOffset: 'independent' },
      axis: { x: 'independent', y: 'independent' },
    },
    spacing: { row: 18, column: 28 },
    spec: {
      width: Math.max(150, Math.max(...workersPerKind) * (labels.length * 16 + 14)),
      height: 130,
      layer: [
        {
          transform: [{ filter: 'isValid(datum.time)' }],
          mark: { type: 'bar' },
          encoding: {
            x,
            xOffset,
            y: {
              field: 'time',
              type: 'quantitative',
              title: null,
              axis: { labelExpr: durationLabel, tickCount: 4 },
            },
            color: {
              field: 'contender',
              scale: colorsOf(labels),
              legend: { title: null, orient: 'top', symbolType: 'square' },
            },
          },
        },
        {
          transform: [{ filter: 'isValid(datum.time)' }],
          mark: { type: 'rule', color: ink, strokeWidth: 1.5 },
          encoding: { x, xOffset, y: { field: 'low', type: 'quantitative' }, y2: { field: 'high' } },
        },
        {
          transform: [{ filter: 'isValid(datum.note)' }],
          mark: { type: 'text', angle: 270, align: 'left', dx: 3, fontSize: 10, color: ink, opacity: 0.65 },
          encoding: { x, xOffset, y: { value: 'height' }, text: { field: 'note' } },
        },
      ],
    },
  }
}

function facetsOf(values: readonly { kind: string; objects: string; panel: string }[]): ChartSpec {
  const objects = [...new Set(values.map((value) => value.objects))]
  const panels = concurrencyKinds.flatMap((kind) => {
    const panel = values.find((value) => value.kind === kind)?.panel
    return panel === undefined ? [] : [panel]
  })
  if (objects.length === 1) return { column: { field: 'panel', sort: panels, title: null } }
  return {
    row: {
      field: 'kind',
      sort: concurrencyKinds,
      title: null,
      header: { labelAngle: 0, labelAlign: 'left', labelAnchor: 'middle' },
    },
    column: { field: 'objects', sort: objects, title: null },
  }
}

/** A point with its interval in a forest plot. */
interface ForestPoint {
  readonly row: string
  readonly contender: string
  /** Hollow: another durability than the one that it is compared with. */
  readonly hollow: boolean
  readonly ratio: number
  readonly low: number
  readonly high: number
}

/** Per scenario, everybody's time relative to the fastest of the tier; undefined where nobody is ranked. */
export function summaryChart(analysis: Analysis): ChartSpec | undefined {
  const { scenarios, tiers } = analysis.summary
  const values = scenarios.flatMap(({ scenario, rankings }) =>
    rankings.flatMap(({ durability, places }) =>
      places.map(({ contender, ratio }, index) => ({
        row: tiers.length > 1 && rankings.length > 1 ? `${scenario}, ${durability}` : scenario,
        contender,
        hollow: false,
        ...(index === 0 || ratio === undefined ? { ratio: 1, low: 1, high: 1 } : pointOf(ratio.estimate)),
      })),
    ),
  )
  if (values.length === 0) return undefined
  const labels = analysis.contenders.map(({ label }) => label)
  const ranked = labels.filter((label) => values.some(({ contender }) => contender === label))
  return forest(values, labels, ranked, {
    title: 'time relative to the fastest (1x)',
    description: 'Time of each contender relative to the fastest, per scenario',
    legend: true,
  })
}

/** Ratios to the reference in all settings of one scenario; undefined where there is none. */
export function ratioChart(analysis: Analysis, scenario: string): ChartSpec | undefined {
  const { reference, contenders } = analysis
  const values = groupsOf(analysis, scenario).flatMap(({ setting, cells }) =>
    cells.flatMap((cell) => {
      if (cell.status !== 'measured' || cell.ratio.kind !== 'paired') return []
      const { estimate, unequalDurability: hollow } = cell.ratio
      return [{ row: settingText(setting), contender: cell.contender, hollow, ...pointOf(estimate) }]
    }),
  )
  if (values.length === 0) return undefined
  const labels = contenders.map(({ label }) => label)
  const others = labels.filter((label) => label !== reference)
  return forest(values, labels, others, {
    title: `time relative to ${reference} (left of 1: faster)`,
    description: `Time in ${scenario} relative to ${reference}, per setting`,
    legend: false,
  })
}

/** @param shown those among all `labels` that have a line of their own in each row */
function forest(
  values: readonly ForestPoint[],
  labels: readonly string[],
  shown: readonly string[],
  { title, description, legend }: { title: string; description: string; legend: boolean },
): ChartSpec {
  // A little room on both sides, and 1 always in sight.
  const least = Math.min(1, ...values.map(({ low }) => low)) / 1.1
  const most = Math.max(1, ...values.map(({ high }) => high)) * 1.1
  const y = {
    field: 'row',
    type: 'nominal',
    sort: [...new Set(values.map(({ row }) => row))],
    title: null,
    axis: { grid: true, labelLimit: 300 },
  }
  const yOffset = { field: 'contender', sort: shown }
  const color = {
    field: 'contender',
    scale: colorsOf(labels),
    legend: legend ? { title: null, orient: 'top', symbolType: 'circle', values: shown, columns: 3 } : null,
  }
  const scale = { type: 'log', domain: [least, most], nice: false }
  return {
    $schema: schema,
    description,
    config,
    data: { values },
    width: 230,
    height: { step: Math.max(24, 9 * shown.length + 4), for: 'position' },
    layer: [
      {
        mark: { type: 'rule', color: ink, strokeDash: [3, 3] },
        encoding: { x: { datum: 1, type: 'quantitative', scale } },
      },
      {
        mark: { type: 'rule', strokeWidth: 2 },
        encoding: {
          x: {
            field: 'low',
            type: 'quantitative',
            scale,
            title,
            axis: { values: ratioTicks(least, most), labelExpr: "format(datum.value, '~g') + 'x'" },
          },
          x2: { field: 'high' },
          y,
          yOffset,
          color,
        },
      },
      {
        mark: { type: 'point', size: 40, strokeWidth: 1.5, opacity: 1 },
        encoding: {
          x: { field: 'ratio', type: 'quantitative', scale },
          y,
          yOffset,
          color,
          fill: { condition: { test: '!datum.hollow', ...color }, value: 'transparent' },
        },
      },
    ],
  }
}

/** The range of the forks, where there are too few of them for an interval. */
function pointOf({ median, interval, min, max }: Estimate): Pick<ForestPoint, 'ratio' | 'low' | 'high'> {
  return { ratio: median, low: interval?.low ?? min, high: interval?.high ?? max }
}

/** The same colour for a contender in all charts. */
function colorsOf(labels: readonly string[]): ChartSpec {
  return { domain: labels, range: labels.map((_, index) => palette[index % palette.length]) }
}

/** Steps of 1, 2, 5 over wide ranges, of a tenth over narrow ones. */
function ratioTicks(low: number, high: number): number[] {
  const ticks: number[] = []
  if (high / low < 3) {
    const step = high / low < 1.4 ? 0.05 : high / low < 2 ? 0.1 : 0.2
    for (let i = Math.ceil(low / step); i * step <= high; i++) ticks.push(Number((i * step).toFixed(2)))
    return ticks
  }
  const factors = high / low > 1000 ? [1] : high / low > 100 ? [1, 3] : [1, 2, 5]
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(1)))
  }
  return ticks.filter((tick) => tick >= low && tick <= high)
}

function groupsOf({ groups }: Analysis, scenario: string): readonly Group[] {
  return groups.filter(({ setting }) => setting.scenario === scenario)
}
