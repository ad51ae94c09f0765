#include "git_fixture.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <stdexcept>

#include "gitsync/repo/object_id.hpp"
#include "schema/host/spawn.hpp"

namespace moored::git {
namespace {

std::string run(const std::vector<std::string>& arguments, const std::string& input) {
  SpawnRequest request;
  request.program = "/usr/bin/git";
  request.arguments = arguments;
  request.environment = {"PATH=/usr/bin:/bin",
                         "LANG=C.UTF-8",
                         "GIT_CONFIG_NOSYSTEM=1",
                         "GIT_CONFIG_GLOBAL=/dev/null",
                         "GIT_AUTHOR_NAME=tester",
                         "GIT_AUTHOR_EMAIL=tester@example.test",
                         "GIT_COMMITTER_NAME=tester",
                         "GIT_COMMITTER_EMAIL=tester@example.test",
                         "GIT_AUTHOR_DATE=1700000000 +0000",
                         "GIT_COMMITTER_DATE=1700000000 +0000"};
  const auto output = run_command(request, input, std::chrono::seconds(60));
  if (!output || output->status.code != 0) {
    std::string text = "git failed:";
    for (const auto& argument : arguments) text += ' ' + argument;
    throw std::runtime_error(text + "\n" + (output ? output->err : output.error().text()));
  }
  std::string out = output->out;
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

}  // namespace

TempDirectory::TempDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "moored-git-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = name;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestRepository::TestRepository(std::string path) : path_(std::move(path)) {
  run({"git", "init", "-q", "--bare", "-b", "main", path_}, {});
}

std::string TestRepository::git(const std::vector<std::string>& arguments,
                                const std::string& input) const {
  std::vector<std::string> all{"git", "-C", path_};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run(all, input);
}

std::string TestRepository::raw_object(const std::string& type, const std::string& content) const {
  return git({"hash-object", "-w", "-t", type, "--literally", "--stdin"}, content);
}

std::string TestRepository::blob(const std::string& content) const {
  return raw_object("blob", content);
}

std::string TestRepository::tree(const std::vector<RawEntry>& entries) const {
  std::string raw;
  for (const auto& entry : entries) {
    const auto id = ObjectId::from_hex(entry.id).value();
    raw += entry.mode + ' ' + entry.name + '\0';
    raw.append(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
  }
  return raw_object("tree", raw);
}

std::string TestRepository::tree_of(
    const std::vector<std::pair<std::string, std::string>>& files) const {
  std::map<std::string, std::string> blobs;
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> directories;
  for (const auto& [path, content] : files) {
    const std::size_t slash = path.find('/');
    if (slash == std::string::npos) {
      blobs[path] = blob(content);
    } else {
      directories[path.substr(0, slash)].emplace_back(path.substr(slash + 1), content);
    }
  }
  std::map<std::string, RawEntry> sorted;
  for (const auto& [name, id] : blobs) sorted[name] = {"100644", name, id};
  for (const auto& [name, below] : directories) {
    sorted[name + '/'] = {"40000", name, tree_of(below)};
  }
  std::vector<RawEntry> entries;
  for (const auto& [key, entry] : sorted) entries.push_back(entry);
  return tree(entries);
}

std::string TestRepository::commit(const std::string& tree, const std::vector<std::string>& parents,
                                   const std::string& message) const {
  std::vector<std::string> arguments{"commit-tree", tree};
  for (const auto& parent : parents) {
    arguments.insert(arguments.end(), {"-p", parent});
  }
  return git(arguments, message);
}

void TestRepository::set_ref(const std::string& name, const std::string& id) const {
  git({"update-ref", name, id});
}

std::string TestRepository::push(const std::vector<std::pair<std::string, std::string>>& files,
                                 const std::string& branch) {
  head_ = commit(tree_of(files), head_.empty() ? std::vector<std::string>{}
                                               : std::vector<std::string>{head_});
  set_ref("refs/heads/" + branch, head_);
  return head_;
}

}  // namespace moored::git
