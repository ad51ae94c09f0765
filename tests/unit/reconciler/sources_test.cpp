// The operator's own source as objects, and the user that reads it.
#include <catch2/catch.hpp>

#include <pwd.h>

#include "reconciler/daemon/sources.hpp"
#include "schema/model/flux.hpp"

using namespace moored;

TEST_CASE("no URL is no source") {
  CHECK(configured_objects({}).empty());
}

TEST_CASE("a branch, a reference or a commit may be given") {
  struct Row {
    std::string written;
    GitRepositoryRef ref;
  };
  const std::string commit(40, 'a');
  const std::vector<Row> rows{{"main", {"main", {}, {}, {}}},
                              {"refs/tags/v1", {{}, {}, {}, "refs/tags/v1"}},
                              {commit, {{}, {}, commit, {}}}};
  for (const auto& row : rows) {
    CAPTURE(row.written);
    Configuration configuration;
    configuration.git_url = "https://git.example.org/x.git";
    configuration.git_branch = row.written;
    configuration.git_path = "deploy";
    const auto objects = configured_objects(configuration);
    REQUIRE(objects.size() == 2);
    CHECK(objects[0].key().text() == "GitRepository/moored-system/default");
    CHECK(objects[0].as<GitRepository>().spec.ref == row.ref);
    CHECK(objects[1].as<Kustomization>().spec.path == "deploy");
    CHECK(objects[1].as<Kustomization>().spec.prune);
  }
}

TEST_CASE("the user of the Git workers must be there and not be root") {
  Configuration configuration;
  configuration.source_user = "nobody";
  const auto nobody = find_git_user(configuration);
  REQUIRE(nobody);
  REQUIRE(nobody->has_value());
  CHECK((*nobody)->first == ::getpwnam("nobody")->pw_uid);
  CHECK((*nobody)->second == ::getpwnam("nobody")->pw_gid);
  for (const char* name : {"root", "moored-no-such-user", "no:user"}) {
    CAPTURE(name);
    configuration.source_user = name;
    const auto refused = find_git_user(configuration);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::invalid);
    CHECK(refused.error().reason == "ConfigInvalid");
    CHECK_FALSE(refused.error().fix.empty());
  }
  // The usual one may be missing, and the daemon starts nevertheless.
  configuration.source_user.clear();
  const auto usual = find_git_user(configuration);
  REQUIRE(usual);
  CHECK(usual->has_value() == (::getpwnam(kGitUser) != nullptr));
}
