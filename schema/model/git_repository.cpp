#include "schema/model/flux.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "gitsync/follow";

// Only the shape: which hosts may be asked is judged where the source is opened. The text may hold
// credentials and is in no message.
std::optional<Error> check_url(std::string_view url) {
  const auto bad = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; };
  constexpr std::array<std::string_view, 6> kStarts{"https://", "ssh://",  "http://",
                                                    "git://",   "file://", "/"};
  bool known = std::any_of(kStarts.begin(), kStarts.end(), [&](std::string_view start) {
    return url.substr(0, start.size()) == start;
  });
  // user@host:path, the short form for ssh.
  const std::size_t colon = url.find(':');
  known = known || (url.find('@') < colon && colon < url.find('/') &&
                    colon != std::string_view::npos && url.substr(0, 1) != "-");
  if (known && std::none_of(url.begin(), url.end(), bad)) return std::nullopt;
  return Error{Code::denied, "the URL is not one of a repository", "URLNotAllowed", {},
               "write https://host/path or ssh://git@host/path, without a password"};
}

// As git itself refuses names. One that looks like an option is a name like others: references are
// only ever looked up by their full name.
std::optional<Error> check_ref_name(std::string_view name) {
  const auto bad = [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f ||
           std::string_view("~^:?*[\\").find(c) != std::string_view::npos;
  };
  const bool shaped = !name.empty() && name.size() <= 255 && name.front() != '/' &&
                      name.back() != '/' && name.back() != '.' &&
                      name.find("..") == std::string_view::npos &&
                      name.find("//") == std::string_view::npos &&
                      name.find("@{") == std::string_view::npos &&
                      std::none_of(name.begin(), name.end(), bad);
  if (shaped) return std::nullopt;
  return invalid_value(quoted(name) + " is not the name of a reference",
                       "write it as git branch or git tag shows it");
}

// Only full names are unmistakable: a branch and a tag may share a short one.
std::optional<Error> check_full_ref(std::string_view name) {
  if (name.substr(0, 5) == "refs/") return check_ref_name(name);
  return invalid_value(quoted(name) + " is not a full reference name",
                       "write it as refs/heads/NAME or refs/tags/NAME");
}

// Short ids can become ambiguous with the next push.
std::optional<Error> check_commit(std::string_view text) {
  const bool hex = text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (hex && text.size() == 40) return std::nullopt;
  return invalid_value(quoted(text) + " is not a commit id", "write all 40 lower-case hex digits");
}

// The address and the reference are judged by their rows.
void check_repository(const void* object, std::vector<Error>& errors) {
  check_metadata(static_cast<const GitRepository*>(object)->metadata, &check_dns_subdomain,
                 errors);
}

}  // namespace

// Source: source.toolkit.fluxcd.io/v1 GitRepositoryRef.
template <>
const TypeSchema& schema_of<GitRepositoryRef>() {
  using T = GitRepositoryRef;
  static constexpr Field kFields[] = {
      field<&T::branch>("branch", {.check = &text_check<&check_ref_name>, .carried_by = kBy,
                                   .doc = "Branch to follow."}),
      field<&T::tag>("tag", {.check = &text_check<&check_ref_name>, .carried_by = kBy,
                             .doc = "Tag to take; goes before the branch."}),
      refused("semver", "name a branch or a tag"),
      field<&T::name>("name", {.check = &text_check<&check_full_ref>, .carried_by = kBy,
                               .doc = "Full reference name; goes before tag and branch."}),
      field<&T::commit>("commit", {.check = &text_check<&check_commit>, .carried_by = kBy,
                                   .doc = "Commit to stay at; goes before all others."}),
  };
  static constexpr TypeSchema kSchema{"GitRepositoryRef", kFields};
  return kSchema;
}

// Source: source.toolkit.fluxcd.io/v1 GitRepositorySpec.
template <>
const TypeSchema& schema_of<GitRepositorySpec>() {
  using T = GitRepositorySpec;
  static constexpr Field kFields[] = {
      field<&T::url>("url", {.flags = kRequired, .check = &full_text_check<&check_url>,
                             .carried_by = "gitsync/repo", .doc = "Where the repository is."}),
      field<&T::interval>("interval", {.flags = kRequired,
                                       .check = &full_text_check<&check_duration>,
                                       .carried_by = kBy, .doc = "How often to look."}),
      field<&T::timeout>("timeout", {.fallback = "\"60s\"",
                                     .check = &full_text_check<&check_duration>,
                                     .carried_by = kBy, .doc = "How long one fetch may take."}),
      field<&T::ref>("ref", {.carried_by = kBy, .doc = "What to follow; HEAD when left out."}),
      field<&T::suspend>("suspend", {.carried_by = kBy, .doc = "Whether to stop looking."}),
      field<&T::secret_ref>("secretRef", {.carried_by = kBy,
                                          .doc = "Credentials: a Secret or a directory."}),
      field<&T::proxy_secret_ref>(
          "proxySecretRef", {.carried_by = kBy, .doc = "Proxy: address, username, password."}),
      field<&T::ignore>("ignore", {.carried_by = "gitsync/load",
                                   .doc = "What to leave out, as in .gitignore."}),
      refused("provider", "name the credentials in secretRef"),
      refused("serviceAccountName", "name the credentials in secretRef"),
      refused("verify", "signatures are not verified yet; remove it knowing that"),
      refused("recurseSubmodules", "submodules are never fetched; remove it"),
      refused("include", "make a GitRepository and a Kustomization for each repository"),
      refused("sparseCheckout", "nothing is checked out; remove it"),
  };
  static constexpr TypeSchema kSchema{"GitRepositorySpec", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<SourceArtifact>() {
  using T = SourceArtifact;
  static constexpr Field kFields[] = {
      field<&T::revision>("revision", {.flags = kKeepZero, .carried_by = kBy,
                                       .doc = "branch@sha1:<40 hex digits>."}),
      field<&T::last_update_time>("lastUpdateTime", {.carried_by = kBy,
                                                     .doc = "When it was fetched."}),
  };
  static constexpr TypeSchema kSchema{"Artifact", kFields};
  return kSchema;
}

// Source: source.toolkit.fluxcd.io/v1 GitRepositoryStatus.
template <>
const TypeSchema& schema_of<GitRepositoryStatus>() {
  using T = GitRepositoryStatus;
  static constexpr Field kFields[] = {
      field<&T::observed_generation>("observedGeneration",
                                     {.carried_by = kBy, .doc = "Generation that was seen."}),
      field<&T::conditions>("conditions", {.merge_key = "type", .carried_by = kBy,
                                           .doc = "Ready, Reconciling, Stalled."}),
      field<&T::artifact>("artifact", {.carried_by = kBy, .doc = "What was last fetched."}),
  };
  static constexpr TypeSchema kSchema{"GitRepositoryStatus", kFields};
  return kSchema;
}

template <>
const TypeSchema& schema_of<GitRepository>() {
  using T = GitRepository;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::spec>("spec", {.flags = kRequired, .carried_by = kBy, .doc = "What to follow."}),
      status_row<&T::status>(kBy),
  };
  static constexpr TypeSchema kSchema{"GitRepository", kFields, &check_repository};
  return kSchema;
}

template <>
const Kind& kind_of<GitRepository>() {
  static constexpr std::string_view kShort[] = {"gitrepo"};
  static constexpr std::string_view kParts[] = {"status"};
  static constexpr Kind kRow = row_of<GitRepository>(
      {.group = "source.toolkit.fluxcd.io", .version = "v1", .kind = "GitRepository",
       .plural = "gitrepositories", .singular = "gitrepository", .short_names = kShort,
       .subresources = kParts, .table = &kGitRepositoryTable});
  return kRow;
}

}  // namespace moored
