/**
 * Options of storages and scenarios: a table of named options, from which plain data (a command line, a config file)
 * is parsed into typed values, and from which help is printed. Every problem of the input is named, not just the first.
 */

import { resolve } from 'node:path'
import { closestName, UsageError } from './errors.ts'
import { parseBytes, parseDuration, writeBytes, writeDuration } from './units.ts'

/** One option: how to read it, its default, and what it means in one line. */
export interface OptionSpec<T> {
  readonly summary: string
  /** `boolean`, `integer`, `64kb` …: what help shows for the value. */
  readonly form: string
  readonly default: T
  /** Reads a string or an already typed value. @throws UsageError that says what is wrong with it */
  parse(value: unknown): T
  /** The value as a person would write it. */
  format(value: T): string
}

/** A table of options. Keys are the option names, camelCase. */
export type OptionsSpec = Readonly<Record<string, OptionSpec<unknown>>>

/** The typed values of a table. */
export type OptionsOf<S extends OptionsSpec> = {
  readonly [K in keyof S]: S[K] extends OptionSpec<infer T> ? T : never
}

/** What every kind of option has. */
export interface OptionBasics<T> {
  readonly default: T
  readonly summary: string
}

function badValue(value: unknown, form: string): UsageError {
  return new UsageError('bad-option-value', `${JSON.stringify(value)} is not ${form}`)
}

/** Constructors for the kinds of option there are. */
export const option = {
  string: (common: OptionBasics<string>): OptionSpec<string> => ({
    ...common,
    form: 'text',
    parse(value) {
      if (typeof value !== 'string') throw badValue(value, 'text')
      return value
    },
    format: (value) => value,
  }),

  /** A path, made absolute against the working directory. The empty default means "none given". */
  path: (common: OptionBasics<string>): OptionSpec<string> => ({
    ...common,
    form: 'path',
    parse(value) {
      if (typeof value !== 'string') throw badValue(value, 'a path')
      return value === '' ? '' : resolve(value)
    },
    format: (value) => value,
  }),

  boolean: (common: OptionBasics<boolean>): OptionSpec<boolean> => ({
    ...common,
    form: 'true|false',
    parse(value) {
      if (typeof value === 'boolean') return value
      if (value === 'true' || value === '1' || value === '') return true
      if (value === 'false' || value === '0') return false
      throw badValue(value, 'true or false')
    },
    format: String,
  }),

  integer: (
    common: OptionBasics<number> & { readonly min?: number; readonly max?: number },
  ): OptionSpec<number> => {
    const { min = 0, max = Number.MAX_SAFE_INTEGER, ...rest } = common
    return {
      ...rest,
      form: 'integer',
      parse(value) {
        const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
        if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < min || number > max) {
          const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
          throw badValue(value, `an integer ${range}`)
        }
        return number
      },
      format: String,
    }
  },

  /** A size in bytes: `300`, `64kb`, `1gb`. */
  bytes: (common: OptionBasics<number>): OptionSpec<number> => ({
    ...common,
    form: 'bytes',
    parse(value) {
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
      if (typeof value === 'string') return parseBytes(value)
      throw badValue(value, 'a size')
    },
    format: writeBytes,
  }),

  /** A duration, in nanoseconds: `500ms`, `30s`. */
  duration: (common: OptionBasics<number>): OptionSpec<number> => ({
    ...common,
    form: 'duration',
    parse(value) {
      if (typeof value === 'number' && value >= 0) return value
      if (typeof value === 'string') return parseDuration(value)
      throw badValue(value, 'a duration')
    },
    format: writeDuration,
  }),

  choice: <const C extends readonly string[]>(
    common: OptionBasics<C[number]> & { readonly choices: C },
  ): OptionSpec<C[number]> => {
    const { choices, ...rest } = common
    return {
      ...rest,
      form: choices.join('|'),
      parse(value) {
        if (typeof value !== 'string' || !choices.includes(value))
          throw badValue(value, `one of ${choices.join(', ')}`)
        return value
      },
      format: (value) => value,
    }
  },
}

/**
 * Plain data → typed options with defaults filled in.
 * @param owner named in errors: `file`, `scenario add`
 * @throws UsageError `bad-options`, naming every problem
 */
export function parseOptions<S extends OptionsSpec>(
  owner: string,
  spec: S,
  given: Readonly<Record<string, unknown>>,
): OptionsOf<S> {
  const problems: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, one] of Object.entries(spec)) values[name] = one.default
  for (const [name, value] of Object.entries(given)) {
    const one = Object.hasOwn(spec, name) ? spec[name] : undefined
    if (one === undefined) {
      const closest = closestName(name, Object.keys(spec))
      const names = Object.keys(spec)
      const advice =
        closest !== undefined
          ? `did you mean "${closest}"?`
          : names.length === 0
            ? 'it has no options'
            : `it has ${names.join(', ')}`
      problems.push(`no option "${name}" (${advice})`)
      continue
    }
    try {
      values[name] = one.parse(value)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      problems.push(`${name}: ${error.message}`)
    }
  }
  if (problems.length > 0) {
    throw new UsageError('bad-options', `${owner}: ${problems.join('; ')}`, { details: { owner, problems } })
  }
  return values as OptionsOf<S>
}
