// Owners of libgit2's handles, for the files of this directory only.
#pragma once

#include <memory>

struct git_repository;
struct git_odb;
struct git_odb_object;
struct git_remote;
struct git_packbuilder;
struct git_revwalk;
struct git_object;
struct git_reference_iterator;

namespace moored::git {

struct FreeHandle {
  void operator()(git_repository* handle) const;
  void operator()(git_odb* handle) const;
  void operator()(git_odb_object* handle) const;
  void operator()(git_remote* handle) const;
  void operator()(git_packbuilder* handle) const;
  void operator()(git_revwalk* handle) const;
  void operator()(git_object* handle) const;
  void operator()(git_reference_iterator* handle) const;
};

using Repository = std::unique_ptr<git_repository, FreeHandle>;
using Odb = std::unique_ptr<git_odb, FreeHandle>;
using OdbObject = std::unique_ptr<git_odb_object, FreeHandle>;
using Remote = std::unique_ptr<git_remote, FreeHandle>;
using PackBuilder = std::unique_ptr<git_packbuilder, FreeHandle>;
using RevisionWalk = std::unique_ptr<git_revwalk, FreeHandle>;
using LooseObject = std::unique_ptr<git_object, FreeHandle>;
using ReferenceIterator = std::unique_ptr<git_reference_iterator, FreeHandle>;

}  // namespace moored::git
