/**
 * Checks of parsed JSON, for the reader of results files. A check looks at a value and says what is wrong with it, or
 * nothing. It never changes a value, and it lets unknown fields pass, so that a file with additions stays readable.
 */

/** `at` is the path to the value, for the message: `batches[3].windowNs`. Returns the first problem. */
export type Check = (value: unknown, at: string) => string | undefined

export const isText: Check = (value, at) =>
  typeof value === 'string' ? undefined : `${at} must be a string, but is ${show(value)}`

export const isBoolean: Check = (value, at) =>
  typeof value === 'boolean' ? undefined : `${at} must be true or false, but is ${show(value)}`

/** A finite number, not negative: durations, counts, shares. */
export const isAmount: Check = (value, at) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0
    ? undefined
    : `${at} must be a number of at least 0, but is ${show(value)}`

/** A whole number, not negative. */
export const isCount: Check = (value, at) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? undefined
    : `${at} must be a whole number of at least 0, but is ${show(value)}`

/** A whole number above 0. */
export const isPositive: Check = (value, at) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0
    ? undefined
    : `${at} must be a whole number above 0, but is ${show(value)}`

export const isTime: Check = (value, at) =>
  typeof value === 'string' && !Number.isNaN(Date.parse(value))
    ? undefined
    : `${at} must be a time such as 2026-01-31T12:00:00.000Z, but is ${show(value)}`

/** Any object: its fields are somebody else's. */
export const isRecord: Check = (value, at) =>
  asRecord(value) !== undefined ? undefined : `${at} must be an object, but is ${show(value)}`

export function isOneOf(...allowed: readonly string[]): Check {
  return (value, at) =>
    typeof value === 'string' && allowed.includes(value)
      ? undefined
      : `${at} must be one of ${allowed.join(', ')}, but is ${show(value)}`
}

export function isList(item: Check, options: { readonly lengthMin?: number } = {}): Check {
  return (value, at) => {
    if (!Array.isArray(value)) return `${at} must be a list, but is ${show(value)}`
    if (value.length < (options.lengthMin ?? 0)) return `${at} must not be empty`
    for (let index = 0; index < value.length; index++) {
      const problem = item(value[index], `${at}[${index}]`)
      if (problem !== undefined) return problem
    }
    return undefined
  }
}

/** An object whose values all satisfy one check. */
export function isMap(item: Check): Check {
  return (value, at) => {
    const record = asRecord(value)
    if (record === undefined) return `${at} must be an object, but is ${show(value)}`
    for (const [name, one] of Object.entries(record)) {
      const problem = item(one, `${at}.${name}`)
      if (problem !== undefined) return problem
    }
    return undefined
  }
}

/** An object with these fields; `optional` ones may be missing. */
export function hasFields(
  required: Readonly<Record<string, Check>>,
  optional: Readonly<Record<string, Check>> = {},
): Check {
  return (value, at) => {
    const record = asRecord(value)
    if (record === undefined) return `${at} must be an object, but is ${show(value)}`
    for (const [name, check] of Object.entries(required)) {
      const path = at === '' ? name : `${at}.${name}`
      if (!(name in record)) return `${path} is missing`
      const problem = check(record[name], path)
      if (problem !== undefined) return problem
    }
    for (const [name, check] of Object.entries(optional)) {
      if (record[name] === undefined) continue
      const problem = check(record[name], at === '' ? name : `${at}.${name}`)
      if (problem !== undefined) return problem
    }
    return undefined
  }
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > 40 ? `${text.slice(0, 37)}…` : text
}
