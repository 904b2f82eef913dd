import type { InitializeHook, ResolveHook } from 'node:module'

let doubles: Readonly<Record<string, string>> = {}

export const initialize: InitializeHook<Record<string, string>> = (data) => {
  doubles = data
}

export const resolve: ResolveHook = (specifier, context, next) => {
  const double = doubles[specifier]
  if (double === undefined || context.parentURL === double) return next(specifier, context)
  return { url: double, shortCircuit: true }
}
