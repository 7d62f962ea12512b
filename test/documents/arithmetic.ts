/** The value of an expression of numbers, names, `+ - × /` and parentheses. @throws for anything else */
export function evaluate(expression: string, names: Readonly<Record<string, number>>): number {
  const tokens = expression.match(/[A-Za-z]\w*|[\d.,]+|[-+×/()]/g) ?? []
  if (tokens.join('') !== expression.replaceAll(/\s/g, '')) throw new Error(`No arithmetic: ${expression}`)
  let at = 0

  function sum(): number {
    let value = product()
    while (tokens[at] === '+' || tokens[at] === '-') value += tokens[at++] === '+' ? product() : -product()
    return value
  }
  function product(): number {
    let value = factor()
    while (tokens[at] === '×' || tokens[at] === '/') value *= tokens[at++] === '×' ? factor() : 1 / factor()
    return value
  }
  function factor(): number {
    const token = tokens[at++] ?? ''
    if (token === '(') {
      const value = sum()
      if (tokens[at++] !== ')') throw new Error(`A parenthesis is not closed: ${expression}`)
      return value
    }
    const value = /^\d/.test(token) ? Number(token.replaceAll(',', '')) : names[token]
    if (value === undefined || Number.isNaN(value))
      throw new Error(`Nobody says what ${token} is: ${expression}`)
    return value
  }

  const value = sum()
  if (at < tokens.length) throw new Error(`No arithmetic: ${expression}`)
  return value
}
