#!/usr/bin/env python3
"""Reads manifests that other people wrote, and starts the pods among them with stand-in images.

    tests/e2e/corpus.py DIRECTORY [--start [N]] [--write] [--bin DIRECTORY]

Prints a line for each document, accepted, or refused with place and reason, and the counts. Every
refusal must be in corpus_expected.txt with its reason; --write writes that file anew. With --start
the documents of DIRECTORY/pod-documents.tsv that are accepted are run by a real daemon in batches;
with a number only so many of them, spread over the list. Plain manifests are all YAML and JSON
files outside of "kustomize" and "openapi".
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NOT_PLAIN = ("kustomize", "openapi")
WANTED_STARTED = 165  # of the 272 documents of pod-documents.tsv


class Document:
    """One document of a file, with the lines it takes."""

    def __init__(self, file, index, text, first, last):
        self.file, self.index, self.text = file, index, text
        self.first, self.last = first, last
        self.error = None        # the first error of it, as moorctl validate tells it
        self.privileged = False  # it is accepted only where the operator allows everything

    @property
    def key(self):
        return f"{self.file}#{self.index}"

    def kind(self):
        found = re.search(r'(?m)^\s*"?kind"?:\s*"?([A-Za-z]+)', self.text)
        return found.group(1) if found else ""


def split(file, text):
    """The documents of a file that say something, counted from 0 as YAML counts them."""
    if file.endswith(".json"):
        return [Document(file, 0, text, 1, text.count("\n") + 2)]
    out, part, first, number = [], [], 1, 0

    def end(last):
        if any(line.strip() and not line.lstrip().startswith("#") for line in part):
            out.append(Document(file, len(out), "".join(part), first, last))
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if re.match(r"---(\s|$)", line):
            end(number - 1)
            rest = line[3:].lstrip()
            part, first = ([rest] if rest and not rest.startswith("#") else []), number
        else:
            part.append(line)
    end(number)
    return out


def plain_files(directory):
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if path.suffix in (".yaml", ".yml", ".json") and relative.parts[0] not in NOT_PLAIN:
            yield str(relative), path.read_text(errors="surrogateescape")


def validate(moorctl, document, level):
    """The errors of one document alone, at a level of Pod Security."""
    with tempfile.TemporaryDirectory(prefix="moored-corpus-") as folder:
        name = "document" + pathlib.Path(document.file).suffix
        path = pathlib.Path(folder, name)
        path.write_text(document.text, errors="surrogateescape")
        result = subprocess.run([moorctl, "validate", folder, "--pod-security", level,
                                 "-o", "json"], capture_output=True, text=True, timeout=60)
        answer = json.loads(result.stdout)
    for error in answer["errors"]:
        error["file"] = document.file
        error["line"] = error.get("line", 0) + document.first - 1 + (
            1 if re.match(r"---", first_line(document)) else 0)
    return answer["errors"]


def first_line(document):
    return document.text.split("\n", 1)[0]


def judge(moorctl, document):
    errors = validate(moorctl, document, "baseline")
    if errors and all(error["reason"] == "Forbidden" for error in errors):
        document.privileged = True
        errors = validate(moorctl, document, "privileged")
    document.error = errors[0] if errors else None
    return document


def read_expected(path):
    """key → reason and field of every refusal that is known."""
    rows = [line.split("\t") for line in path.read_text().splitlines()
            if line and not line.startswith("#")]
    return {row[0]: tuple(row[1:3]) for row in rows}


def write_expected(path, documents):
    lines = ["# Documents of the corpus that are refused: file#document, reason, field, and why.",
             "# Written by corpus.py --write; a change of it is reviewed like a change of code."]
    for document in documents:
        if document.error:
            error = document.error
            lines.append("\t".join((document.key, error["reason"], error.get("field", "") or "-",
                                    error["message"].replace("\t", " ").replace("\n", " ")[:160])))
    path.write_text("\n".join(lines) + "\n", errors="surrogateescape")


def compare(documents, expected):
    """Refusals that are not known, and known ones that are gone."""
    news, gone = [], []
    for document in documents:
        known = expected.get(document.key)
        if document.error and known is None:
            news.append(f"{document.key} is refused and was not")
        elif document.error:
            now = (document.error["reason"], document.error.get("field", "") or "-")
            if now != known:
                news.append(f"{document.key} is refused for {now}, and was for {known}")
        elif known is not None:
            gone.append(f"{document.key} is accepted, and was refused for {known}")
    return news, gone


def read_pod_documents(directory):
    rows = [line.split("\t") for line in
            (directory / "pod-documents.tsv").read_text().splitlines()]
    return [f"{row[0]}#{row[1]}" for row in rows if len(row) == 4 and not row[0].startswith("#")]


def read_corpus(directory, moorctl):
    documents = [document for file, text in plain_files(directory)
                 for document in split(file, text)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda document: judge(moorctl, document), documents))
    return documents


def print_documents(documents):
    for document in documents:
        if document.error is None:
            where = " (in a privileged namespace)" if document.privileged else ""
            print(f"accepted {document.key}{where}")
        else:
            error = document.error
            place = f"{error['file']}:{error['line']}:{error.get('column', 0)}"
            line = (f"refused  {document.key} {place}: {error.get('field') or '-'}: "
                    f"{error['message']} [{error['reason']}]")
            print(line.encode(errors="backslashreplace").decode())


def choose(documents, count):
    """So many documents, spread evenly."""
    if not count or count >= len(documents):
        return documents
    return [documents[number * len(documents) // count] for number in range(count)]


def start(arguments, documents):
    """Runs the pod documents that are accepted; how many, and what is wrong."""
    listed = set(read_pod_documents(arguments.directory))
    accepted = [row for row in documents if row.key in listed and row.error is None]
    chosen = choose(accepted, arguments.start)
    import corpus_run
    run = corpus_run.Run()
    try:
        failed = run.start_all(chosen)
    finally:
        run.close()
    for document in chosen:
        if document.key in failed:
            print(f"not started {document.key}: {failed[document.key]}")
    started = len(chosen) - len(failed)
    print(f"corpus: {len(listed)} pod documents, {len(accepted)} accepted, "
          f"{started} of {len(chosen)} started")
    wanted = WANTED_STARTED * len(chosen) // max(len(accepted), 1) if arguments.start else (
        WANTED_STARTED)
    return [] if started >= wanted else [f"{started} documents started, wanted {wanted}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--start", nargs="?", type=int, const=0, help="run the pods as well")
    parser.add_argument("--write", action="store_true", help="write corpus_expected.txt anew")
    parser.add_argument("--expected", type=pathlib.Path, default=HERE / "corpus_expected.txt")
    parser.add_argument("--bin", help="directory of the programs")
    arguments = parser.parse_args()
    if arguments.bin:
        os.environ["MOORED_BIN"] = str(pathlib.Path(arguments.bin).resolve())
    sys.path.insert(0, str(HERE))
    import harness
    harness.end_on_signal()
    documents = read_corpus(arguments.directory, harness.BIN / "moorctl")
    print_documents(documents)
    if arguments.write:
        write_expected(arguments.expected, documents)
    news, gone = compare(documents, read_expected(arguments.expected))
    for line in gone:
        print(f"note     {line}: run corpus.py --write")
    refused = sum(1 for document in documents if document.error)
    print(f"corpus: {len(documents)} documents, {len(documents) - refused} accepted, "
          f"{refused} refused, {len(news)} refusals not expected")
    if arguments.start is not None:
        news += start(arguments, documents)
    for line in news:
        print(f"FAILED   {line}")
    sys.exit(1 if news or not documents else 0)


if __name__ == "__main__":
    main()
