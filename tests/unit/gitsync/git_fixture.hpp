// Real repositories in temporary directories, made by the git program, also with content that git
// itself would never write.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace moored::git {

// A directory that is removed with everything in it.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  std::string path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

// One entry of a tree: mode, name (any bytes) and object id.
struct RawEntry {
  std::string mode;
  std::string name;
  std::string id;
};

// A bare repository whose objects are written byte by byte. Names and dates are fixed, so ids are
// the same every time. A failing git ends the test.
class TestRepository {
 public:
  explicit TestRepository(std::string path);
  const std::string& path() const { return path_; }

  // Runs git on the repository with input on its stdin; its output without the last newline.
  std::string git(const std::vector<std::string>& arguments, const std::string& input = {}) const;

  std::string blob(const std::string& content) const;
  // Writes the entries as they are given: unsorted, unchecked.
  std::string tree(const std::vector<RawEntry>& entries) const;
  // A sorted tree of paths and contents; directories are made as needed.
  std::string tree_of(const std::vector<std::pair<std::string, std::string>>& files) const;
  std::string commit(const std::string& tree, const std::vector<std::string>& parents = {},
                     const std::string& message = "change") const;
  std::string raw_object(const std::string& type, const std::string& content) const;
  void set_ref(const std::string& name, const std::string& id) const;
  // Commits files on top of a branch and moves it; the new id.
  std::string push(const std::vector<std::pair<std::string, std::string>>& files,
                   const std::string& branch = "main");

 private:
  std::string path_;
  std::string head_;
};

}  // namespace moored::git
