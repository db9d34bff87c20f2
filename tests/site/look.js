/* What the tests want to know of a page, once it has settled and nothing is folded away. */
() => ({
    theme: document.documentElement.dataset.theme,
    colours: Object.fromEntries(
        ['body', '.bd-article p', '.bd-article h1', '.bd-article p a', '.bd-article p code',
            '.bop-picture text']
            .map(selector => [selector, document.querySelector(selector)])
            .filter(([, node]) => node)
            .map(([selector, node]) => [selector, getComputedStyle(node)])
            .map(([selector, { color, backgroundColor, fill }]) =>
                [selector, { color, backgroundColor, fill }])),
    sentences: [...document.querySelectorAll('table.bop-sentences td')]
        .filter(cell => cell.textContent.trim().length > 45 && cell.offsetParent)
        .map(cell => cell.clientWidth),
    cutFigures: [...document.querySelectorAll('.bop-figure')]
        .filter(figure => figure.scrollWidth > figure.clientWidth + 1).length,
    cutCode: [...document.querySelectorAll('.bd-article pre')]
        .filter(code => code.scrollWidth > code.clientWidth + 1)
        .map(code => code.textContent.split('\n').sort((a, b) => b.length - a.length)[0]),
    folded: ['details:not([open])', '.toggle-hidden']
        .map(what => document.querySelectorAll('.bd-article ' + what).length)
        .reduce((sum, count) => sum + count),
    unlabelledFigures: document.querySelectorAll('.bop-figure :is(svg, .bop-panels)[aria-hidden]').length,
    maths: document.querySelectorAll('.math').length,
    rawMaths: [...document.querySelectorAll('.math')]
        .filter(node => !node.querySelector('.katex-html'))
        .map(node => node.textContent),
    cutMaths: [...document.querySelectorAll('.katex-display .base:first-child')]
        .filter(node => node.getBoundingClientRect().left < 0)
        .map(node => node.parentNode.textContent),
    mathErrors: [...document.querySelectorAll('.katex-error')].map(node => node.title),
    cutExplorers: [...document.querySelectorAll('.bop-explorer')].filter(picture => {
        const box = picture.getBoundingClientRect();
        for (let node = picture.parentElement; node !== document.body; node = node.parentElement)
            if (getComputedStyle(node).overflowX !== 'visible')
                if (node.getBoundingClientRect().left > box.left) return true;
        return box.left < 0;
    }).length,
    explorers: document.querySelectorAll('.bop-explorer').length,
    aliveExplorers: document.querySelectorAll('.bop-explorer form:not([hidden])').length,
    stderr: [...document.querySelectorAll('.output.stderr, .output.traceback')]
        .map(node => node.innerText.slice(0, 200)),
    brokenImages: [...document.images].filter(image => image.complete && !image.naturalWidth)
        .map(image => image.src),
    screen: innerWidth,
    width: document.documentElement.scrollWidth,
    tooWide: [...document.querySelectorAll('.bd-article *')]
        .filter(node => node.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 5).map(node => node.outerHTML.slice(0, 120)),
})
