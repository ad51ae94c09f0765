// The recursive walk and the resolution of links, over objects by id.
#include "gitsync/repo/tree.hpp"

#include <algorithm>
#include <utility>

#include "gitsync/repo/names.hpp"

namespace moored::git {
namespace {

// Limits are passed by generated trees; a directory of its own cures them.
Error tree_limit(std::string message) {
  return Error{Code::exhausted, std::move(message), "TreeLimit", {},
               "keep the manifests in a smaller directory of their own"};
}

Error refused_link(std::string message) {
  return Error{Code::invalid, std::move(message), "SymlinkRefused", {},
               "link to a file of the same commit"};
}

// Nothing is deleted because of it: the unit keeps what it has.
Error path_not_found(std::string message) {
  return Error{Code::not_found, std::move(message), "PathNotFound", {},
               "name a directory that the commit has"};
}

// Broken objects fail the whole look; everything else is a fault of the commit.
bool is_fault_of_commit(const Error& error) { return error.code != Code::corrupt; }

// Walks one commit's tree from its root, for the source path and for links.
class PathWalk {
 public:
  PathWalk(ObjectSource& objects, const ObjectId& root) : objects_(objects), root_(root) {}

  // The tree at a path. A link on the way is refused.
  Result<ObjectId> find_directory(const std::vector<std::string>& path, TreeListing& listing) {
    ObjectId id = root_;
    std::string walked;
    for (const auto& name : path) {
      MOORED_TRY(const std::string raw, objects_.read_tree(id));
      RawTree tree = parse_tree(raw);
      for (auto& problem : tree.problems) {
        problem.place.file = walked + problem.place.file;
        listing.diagnostics.add_error(std::move(problem));
      }
      walked += show_text(name);
      const TreeEntry* entry = find_entry(tree, name);
      if (entry == nullptr) {
        return Unexpected(path_not_found("the commit has no " + walked));
      }
      if (entry->type == EntryType::link) {
        return Unexpected(refused_link(walked + " on the source path is a symbolic link"));
      }
      if (entry->type != EntryType::directory) {
        return Unexpected(path_not_found(walked + " is no directory"));
      }
      id = entry->id;
      walked += '/';
    }
    return id;
  }

  // The blob that a link leads to inside the commit, over at most kMaxLinkHops links.
  Result<ObjectId> follow(std::vector<std::string> directory, ObjectId link) {
    for (std::size_t hop = 0; hop < kMaxLinkHops; ++hop) {
      MOORED_TRY(const std::string target, read_target(link));
      MOORED_TRY(const auto path, resolve_link(directory, target));
      MOORED_TRY(const Step step, step_to(path));
      if (step.entry.type == EntryType::file) return step.entry.id;
      if (step.entry.type != EntryType::link) {
        return Unexpected(refused_link("the link leads to no file"));
      }
      directory = step.directory;
      link = step.entry.id;
      if (step.rest.empty()) continue;
      return Unexpected(refused_link("the link leads through another link to a directory"));
    }
    return Unexpected(refused_link("the link leads in a circle or over more than 8 links"));
  }

 private:
  struct Step {
    TreeEntry entry;
    std::vector<std::string> directory;
    std::vector<std::string> rest;  // not walked, behind a link
  };

  static const TreeEntry* find_entry(const RawTree& tree, const std::string& name) {
    const auto entry = std::find_if(tree.entries.begin(), tree.entries.end(),
                                    [&](const TreeEntry& e) { return e.name == name; });
    return entry == tree.entries.end() ? nullptr : &*entry;
  }

  // The size is judged first: a link to a gigabyte is a gigabyte.
  Result<std::string> read_target(const ObjectId& link) {
    MOORED_TRY(const std::size_t size, objects_.read_blob_size(link));
    if (size > kMaxPathBytes) return Unexpected(refused_link("the link's target is too long"));
    return objects_.read_blob(link);
  }

  // Walks from the root each time: links are few, and nothing has to be remembered.
  Result<Step> step_to(const std::vector<std::string>& path) {
    ObjectId id = root_;
    Step step;
    for (std::size_t i = 0; i < path.size(); ++i) {
      MOORED_TRY(const std::string raw, objects_.read_tree(id));
      const RawTree tree = parse_tree(raw);
      const TreeEntry* entry = find_entry(tree, path[i]);
      if (entry == nullptr) return Unexpected(refused_link("the link leads to nothing"));
      step.entry = *entry;
      if (i + 1 == path.size()) return step;
      if (entry->type == EntryType::link) {
        step.rest.assign(path.begin() + static_cast<std::ptrdiff_t>(i) + 1, path.end());
        return step;
      }
      if (entry->type != EntryType::directory) {
        return Unexpected(refused_link("the link leads to nothing"));
      }
      step.directory.push_back(path[i]);
      id = entry->id;
    }
    return Unexpected(refused_link("the link leads to a directory"));
  }

  ObjectSource& objects_;
  ObjectId root_;
};

// A second, unreviewed source; its commands are never read.
Error submodule_warning(const std::string& path) {
  return Error{Code::invalid, "submodules are not followed", "SubmoduleNotSupported",
               Place{path, 0, 0, {}}, "put the manifests into this repository"};
}

}  // namespace

// What one directory holds for us. Shared between listings: equal ids are equal nodes.
struct TreeReader::Node {
  struct Child {
    TreeEntry entry;
    NodePtr node;  // of directories
  };
  std::vector<Child> children;  // manifests, links to manifests, directories, submodules
  std::vector<Error> problems;
  std::size_t entries = 0;      // of everything below, this directory included
  std::size_t manifests = 0;
  std::size_t height = 0;       // directories below on the longest way
  std::size_t path_bytes = 0;   // of the longest path below
};

Result<TreeReader::NodePtr> TreeReader::read_node(ObjectSource& objects, const ObjectId& id,
                                                  std::size_t depth) {
  NodePtr node;
  if (const auto found = next_.find(id); found != next_.end()) {
    node = found->second;
  } else if (const auto old = known_.find(id); old != known_.end()) {
    node = old->second;
    // What lies below stays known without being walked again.
    std::vector<NodePtr> waiting{node};
    next_.emplace(id, node);
    while (!waiting.empty()) {
      const NodePtr parent = std::move(waiting.back());
      waiting.pop_back();
      for (const auto& child : parent->children) {
        if (child.node && next_.emplace(child.entry.id, child.node).second) {
          waiting.push_back(child.node);
        }
      }
    }
  } else {
    MOORED_TRY(node, build_node(objects, id, depth));
    next_.emplace(id, node);
  }
  if (depth + node->height > kMaxTreeDepth) {
    return Unexpected(tree_limit("the tree is deeper than 64 directories"));
  }
  return node;
}

// Sums are checked while they grow, so a tree bomb ends after one way down.
Result<TreeReader::NodePtr> TreeReader::build_node(ObjectSource& objects, const ObjectId& id,
                                                   std::size_t depth) {
  if (depth > kMaxTreeDepth) {
    return Unexpected(tree_limit("the tree is deeper than 64 directories"));
  }
  MOORED_TRY(const std::string raw, objects.read_tree(id));
  ++trees_read_;
  RawTree tree = parse_tree(raw);
  auto node = std::make_shared<Node>();
  node->problems = std::move(tree.problems);
  node->entries = tree.entries.size();
  for (auto& entry : tree.entries) {
    node->path_bytes = std::max(node->path_bytes, entry.name.size());
    const bool manifest = is_manifest_name(entry.name) || is_kustomization_name(entry.name);
    Node::Child child{std::move(entry), nullptr};
    if (child.entry.type == EntryType::directory) {
      if (child.entry.name.front() == '.') continue;
      MOORED_TRY(child.node, read_node(objects, child.entry.id, depth + 1));
      node->entries += child.node->entries;
      node->manifests += child.node->manifests;
      node->height = std::max(node->height, child.node->height + 1);
      node->path_bytes =
          std::max(node->path_bytes, child.entry.name.size() + 1 + child.node->path_bytes);
    } else if (child.entry.type != EntryType::submodule && !manifest) {
      continue;
    }
    node->manifests += manifest ? 1 : 0;
    node->children.push_back(std::move(child));
    if (node->entries > kMaxTreeEntries || node->manifests > kMaxManifestFiles) {
      return Unexpected(tree_limit("the tree has more than 20,000 manifests or 200,000 entries"));
    }
  }
  return NodePtr(std::move(node));
}

// Only memory is walked here; the depth is bounded by kMaxTreeDepth.
void TreeReader::flatten(const Node& node, const std::string& prefix, TreeListing& listing,
                         std::vector<TreeFile>& links) {
  for (Error problem : node.problems) {
    problem.place.file = show_text(prefix) + problem.place.file;
    listing.diagnostics.add_error(std::move(problem));
  }
  for (const auto& child : node.children) {
    const std::string path = prefix + child.entry.name;
    if (child.node) {
      flatten(*child.node, path + '/', listing, links);
    } else if (child.entry.type == EntryType::submodule) {
      listing.diagnostics.add_warning(submodule_warning(show_text(path)));
    } else if (is_kustomization_name(child.entry.name)) {
      listing.kustomizations.push_back(show_text(path));
    } else if (child.entry.type == EntryType::link) {
      links.push_back({path, child.entry.id});
    } else {
      listing.files.push_back({show_text(path), child.entry.id});
    }
  }
}

Result<TreeListing> TreeReader::list(ObjectSource& objects, const ObjectId& root,
                                     const std::string& path) {
  TreeListing listing;
  trees_read_ = 0;
  next_.clear();
  PathWalk walk(objects, root);
  auto components = split_source_path(path);
  auto start = components ? walk.find_directory(*components, listing)
                          : Result<ObjectId>(Unexpected(std::move(components).error()));
  auto node = start ? read_node(objects, *start, 0)
                    : Result<NodePtr>(Unexpected(std::move(start).error()));
  if (!node) {
    if (!is_fault_of_commit(node.error())) return Unexpected(std::move(node).error());
    listing.diagnostics.add_error(std::move(node).error());
    return listing;
  }
  const std::string prefix = components->empty() ? "" : join_path(*components) + '/';
  if (prefix.size() + (*node)->path_bytes > kMaxPathBytes) {
    listing.diagnostics.add_error(tree_limit("a path in the tree is longer than 1,024 bytes"));
    return listing;
  }
  std::vector<TreeFile> links;
  flatten(**node, prefix, listing, links);
  for (const auto& link : links) {
    std::vector<std::string> directory;
    for (std::size_t from = 0, slash; (slash = link.path.find('/', from)) != std::string::npos;
         from = slash + 1) {
      directory.push_back(link.path.substr(from, slash - from));
    }
    auto target = walk.follow(std::move(directory), link.id);
    if (target) {
      listing.files.push_back({show_text(link.path), *target});
    } else if (is_fault_of_commit(target.error())) {
      target.error().place.file = show_text(link.path);
      listing.diagnostics.add_error(std::move(target).error());
    } else {
      return Unexpected(std::move(target).error());
    }
  }
  // A listing that failed leaves what was known before.
  known_ = std::move(next_);
  return listing;
}

}  // namespace moored::git
