// The site has the pages of the repository as they are. Its sidebar is docs/README.md.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'

const repository = fileURLToPath(new URL('../..', import.meta.url))
// Where files that are no pages can be seen, such as https://github.com/OWNER/llamafu/blob/main
const files = process.env.REPOSITORY_FILES

const read = (page: string) => readFileSync(join(repository, page), 'utf8')
const titleOf = (page: string) => read(page).match(/^# (.+)$/m)?.[1] ?? page
const urlOf = (page: string) => '/' + page.replace(/README\.md$/, '').replace(/\.md$/, '')

function sidebar() {
  const sections = read('docs/README.md').split(/^## /m).slice(1)
  return sections.map(section => ({
    text: section.split('\n', 1)[0],
    collapsed: false,
    items: [...section.matchAll(/\]\(([^)#]+?)\)/g)]
      .map(link => normalize(join('docs', link[1])))
      .map(page => (statSync(join(repository, page)).isDirectory() ? join(page, 'README.md') : page))
      .map(page => ({ text: titleOf(page), link: urlOf(page) }))
  }))
}

// A link to a file that is no page leads to the repository or, if that is not known, is plain text.
function linksToFiles(markdown: any) {
  markdown.core.ruler.push('links-to-files', (state: any) => {
    const page = state.env.relativePath ?? ''
    const tokens = state.tokens.flatMap((block: any) => block.children ?? [])
    tokens.forEach((token: any, index: number) => {
      const href = token.type === 'link_open' ? token.attrGet('href') : null
      if (!href || /^([a-z]+:|#)/.test(href)) return
      const [path, section] = href.split('#')
      const source = state.env.path ? dirname(state.env.path.slice(repository.length)) : dirname(page)
      const target = normalize(join(source, path))
      const isFolder = existsSync(join(repository, target)) && statSync(join(repository, target)).isDirectory()
      if (isFolder && existsSync(join(repository, target, 'README.md'))) {
        token.attrSet('href', path.replace(/\/?$/, '/README.md') + (section ? '#' + section : ''))
      } else if (!path.endsWith('.md')) {
        if (files) token.attrSet('href', `${files}/${target}`)
        else {
          token.attrs = []
          token.tag = tokens.slice(index).find((end: any) => end.type === 'link_close').tag = 'span'
        }
      }
    })
  })
}

// Pages outside of docs/ would look for Vue beside themselves.
const packagesOfDocs = {
  name: 'packages-of-docs',
  enforce: 'pre' as const,
  resolveId(this: any, id: string, importer?: string) {
    if (/^vue($|\/)/.test(id) && importer && !importer.startsWith(join(repository, 'docs'))) {
      return this.resolve(id, join(repository, 'docs/package.json'), { skipSelf: true })
    }
  }
}

export default defineConfig({
  title: 'Llamafu for Apache Flink',
  description: 'A local language model with LoRA adapters inside Flink jobs',
  srcDir: '..',
  srcExclude: ['**/target/**', '**/node_modules/**', '.github/**'],
  outDir: '../docs/.vitepress/dist',
  rewrites: { 'README.md': 'index.md', ':folder(.*)/README.md': ':folder/index.md' },
  cleanUrls: true,
  lastUpdated: false,
  ignoreDeadLinks: 'localhostLinks', // of the services of compose
  vite: { plugins: [packagesOfDocs] },
  markdown: { config: linksToFiles },
  themeConfig: {
    nav: [
      { text: 'Tutorial', link: '/docs/tutorial' },
      { text: 'SQL', link: '/docs/sql' },
      { text: 'DataStream', link: '/docs/operators' },
      { text: 'Configuration', link: '/docs/configuration' }
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
    socialLinks: []
  }
})
