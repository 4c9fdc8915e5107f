/**
 * The charts, as Vega-Lite specifications: plain data, made from an analysis, drawn by svg.ts.
 *
 * The bars have the layout that readers of RelStorage's announcements know: a row per concurrency kind, a column per
 * object count, workers along the x axis, a colour per contender. Every facet has a y axis of its own, because times
 * of different object counts and kinds differ too much to share one. Colours that must suit a light and a dark page
 * are `currentColor`.
 */

import type { Analysis, Cell, Group } from '../../analysis/model.ts'
import { concurrencyKinds } from '../../results/schema.ts'
import { objectsText, settingText } from '../phrases.ts'

export type ChartSpec = Readonly<Record<string, unknown>>

/** Okabe and Ito's palette without black and yellow: told apart by colour-blind readers, legible on light and dark. */
export const palette = [
  '#2f86d1',
  '#e69f00',
  '#009e73',
  '#d55e00',
  '#cc79a7',
  '#56b4e9',
  '#8a8a8a',
  '#a6761d',
]

const ink = 'currentColor'

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
  footnote: (cell: Exclude<Cell, { status: 'measured' }>) => number,
): ChartSpec {
  const groups = groupsOf(analysis, scenario)
  const labels = analysis.contenders.map(({ label }) => label)
  const values = groups.flatMap(({ setting, cells }) =>
    cells.map((cell) => ({
      kind: setting.concurrency.kind,
      objects: objectsText(setting.objects),
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
  const present = values.map(({ kind }) => kind)
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    config,
    data: { values },
    facet: {
      row: {
        field: 'kind',
        sort: concurrencyKinds.filter((kind) => present.includes(kind)),
        title: null,
        header: { labelAngle: 0, labelAlign: 'left', labelAnchor: 'middle' },
      },
      column: { field: 'objects', sort: [...new Set(values.map(({ objects }) => objects))], title: null },
    },
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
              scale: { domain: labels, range: labels.map((_, index) => palette[index % palette.length]) },
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

/** Ratios to the reference in all settings of one scenario; undefined where there is none. */
export function ratioChart(analysis: Analysis, scenario: string): ChartSpec | undefined {
  const { reference, contenders } = analysis
  const labels = contenders.map(({ label }) => label)
  const groups = groupsOf(analysis, scenario)
  const values = groups.flatMap(({ setting, cells }) =>
    cells.flatMap((cell) => {
      if (cell.status !== 'measured' || cell.ratio.kind !== 'paired') return []
      const { estimate, unequalDurability } = cell.ratio
      return [
        {
          setting: settingText(setting),
          contender: cell.contender,
          durability: unequalDurability ? 'other' : 'same',
          ratio: estimate.median,
          low: estimate.interval?.low ?? estimate.min,
          high: estimate.interval?.high ?? estimate.max,
        },
      ]
    }),
  )
  if (values.length === 0) return undefined
  const settings = [...new Set(values.map(({ setting }) => setting))]
  const others = labels.filter((label) => label !== reference)
  // A little room on both sides, and 1 always in sight.
  const least = Math.min(1, ...values.map(({ low }) => low)) / 1.1
  const most = Math.max(1, ...values.map(({ high }) => high)) * 1.1
  const y = {
    field: 'setting',
    type: 'nominal',
    sort: settings,
    title: null,
    axis: { grid: true, labelLimit: 300 },
  }
  const yOffset = { field: 'contender', sort: others }
  const color = {
    field: 'contender',
    scale: { domain: labels, range: labels.map((_, index) => palette[index % palette.length]) },
    legend: null,
  }
  const scale = { type: 'log', domain: [least, most], nice: false }
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    config,
    data: { values },
    width: 230,
    height: { step: Math.max(18, 9 * others.length + 4), for: 'position' },
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
            title: `time relative to ${reference} (left of 1: faster)`,
            axis: { values: ratioTicks(least, most), labelExpr: "format(datum.value, '~g') + 'x'" },
          },
          x2: { field: 'high' },
          y,
          yOffset,
          color,
        },
      },
      {
        // Hollow: another durability than the reference.
        mark: { type: 'point', size: 40, strokeWidth: 1.5, opacity: 1 },
        encoding: {
          x: { field: 'ratio', type: 'quantitative', scale },
          y,
          yOffset,
          color,
          fill: {
            condition: { test: "datum.durability == 'same'", ...color },
            value: 'transparent',
          },
        },
      },
    ],
  }
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
