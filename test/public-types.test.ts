/** What somebody sees who imports the package: every public name says what it is, and no public type hides another. */

import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, string | { types: string }>
}

/** Sources of what can be imported. */
const entries = Object.values(exports).flatMap((target) =>
  typeof target === 'string'
    ? []
    : [join(root, target.types.replace('./dist/', 'src/').replace('.d.ts', '.ts'))],
)

const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
const program = ts.createProgram(entries, { ...options, noEmit: true })
const checker = program.getTypeChecker()

const exported = new Set(
  entries.flatMap((entry) =>
    checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!).map(original),
  ),
)

/** What an import or export of another file stands for. */
function original(symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

function placeOf(symbol: ts.Symbol): string {
  return `${symbol.name} in ${relative(root, symbol.declarations![0]!.getSourceFile().fileName)}`
}

function hasComment(declaration: ts.Declaration): boolean {
  const node = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
  return ts.getJSDocCommentsAndTags(node).length > 0
}

/** Types that a declaration shows: not what is private, nor what stands in bodies. */
function shownTypes(node: ts.Node, found: ts.Symbol[] = []): readonly ts.Symbol[] {
  const isHidden =
    ts.isBlock(node) ||
    (ts.isClassElement(node) && node.name !== undefined && ts.isPrivateIdentifier(node.name)) ||
    (ts.isPropertyDeclaration(node) && node.type === undefined)
  if (isHidden) return found
  const name = ts.isTypeReferenceNode(node)
    ? node.typeName
    : ts.isExpressionWithTypeArguments(node)
      ? node.expression
      : undefined
  const symbol = name && checker.getSymbolAtLocation(name)
  if (symbol !== undefined) found.push(original(symbol))
  ts.forEachChild(node, (child) => void shownTypes(child, found))
  return found
}

test('every public name has a comment', () => {
  expect(exported.size).toBeGreaterThan(150)
  const silent = [...exported].filter(({ declarations }) => !declarations!.some(hasComment))
  expect(silent.map(placeOf)).toEqual([])
})

test('every type of ours in a public declaration is public too', () => {
  const hidden = new Set<string>()
  for (const symbol of exported) {
    for (const shown of symbol.declarations!.flatMap((declaration) => shownTypes(declaration))) {
      const file = shown.declarations?.[0]?.getSourceFile().fileName ?? ''
      const isOurs = file.startsWith(join(root, 'src/')) && !(shown.flags & ts.SymbolFlags.TypeParameter)
      if (isOurs && !exported.has(shown)) hidden.add(`${placeOf(shown)}, shown by ${placeOf(symbol)}`)
    }
  }
  expect([...hidden]).toEqual([])
})
