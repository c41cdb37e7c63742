// How well a page answers a search. Sphinx counts the best of the words alone, wherever it stands,
// so that most pages come out alike and are listed by the alphabet. Here each word of the search
// counts: most in the title of a page, less in a heading, least in the text. The front page and
// tutorials come before reference pages that fit as well, and of two tutorials the one that is read
// first.
const WORD = { title: 5, heading: 4, text: 1 };
const TUTORIAL = 10;

const stemsOf = (text) => {
  const stemmer = new Stemmer();
  return splitQuery(text.toLowerCase()).map((word) => stemmer.stemWord(word));
};

const wordsScore = (docname) => {
  const { docnames, titles, titleterms } = Search._index;
  const file = docnames.indexOf(docname);
  const title = stemsOf(titles[file]);
  const inHeading = (word) => [titleterms[word] ?? []].flat().includes(file);
  const query = new URLSearchParams(location.search).get("q") ?? "";
  return stemsOf(query)
    .map((word) => (title.includes(word) ? WORD.title : inHeading(word) ? WORD.heading : WORD.text))
    .reduce((sum, score) => sum + score, 0);
};

var Scorer = {
  score: ([docname, , , , score, , kind]) => {
    const number = docname.match(/^gallery\/.*\/plot_(\d+)_/)?.[1];
    return (
      (kind === SearchResultKind.text ? wordsScore(docname) : score) +
      (number ? TUTORIAL - Number(number) / 1000 : docname === "index" ? TUTORIAL : 0)
    );
  },

  // A part of the name of a function comes after tutorials, and the whole name before them.
  objPartialMatch: -8,

  // What Sphinx would take where nothing else is said.
  objNameMatch: 11,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
