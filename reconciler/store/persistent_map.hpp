// A sorted map whose versions share what they have in common.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace moored::store {

// An immutable sorted map. with() and without() give a new map in O(log n) and leave the old one as
// it is, so a copy is a consistent state for as long as somebody holds it. Thread safe to read.
// A treap: ordered by key, balanced by a hash of the key, so the shape depends only on the
// contents.
template <class Key, class Value, class Hash = std::hash<Key>, class Less = std::less<Key>>
class PersistentMap {
  struct Node;
  using Link = std::shared_ptr<const Node>;
  struct Node {
    Key key;
    Value value;
    std::uint64_t priority;
    Link left;
    Link right;
  };

 public:
  std::size_t size() const { return size_; }

  // The value of a key, or nullptr. Valid as long as this map or a copy lives.
  const Value* find(const Key& key) const {
    const Node* node = root_.get();
    while (node != nullptr) {
      if (Less{}(key, node->key)) {
        node = node->left.get();
      } else if (Less{}(node->key, key)) {
        node = node->right.get();
      } else {
        return &node->value;
      }
    }
    return nullptr;
  }

  PersistentMap with(Key key, Value value) const {
    const bool is_new = find(key) == nullptr;
    const std::uint64_t priority = mix(Hash{}(key));
    PersistentMap out;
    out.root_ = insert(
        root_, std::make_shared<Node>(Node{std::move(key), std::move(value), priority, {}, {}}));
    out.size_ = size_ + (is_new ? 1 : 0);
    return out;
  }

  PersistentMap without(const Key& key) const {
    if (find(key) == nullptr) return *this;
    PersistentMap out;
    out.root_ = erase(root_, key);
    out.size_ = size_ - 1;
    return out;
  }

  // Calls visit(key, value) in key order for every key not before first, until it returns false.
  template <class Visit>
  void visit_from(const Key& first, Visit&& visit) const {
    walk(root_.get(), &first, visit);
  }
  template <class Visit>
  void visit_all(Visit&& visit) const {
    walk(root_.get(), nullptr, visit);
  }

 private:
  // Hashes of neighbouring keys may be alike; priorities must not be.
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }

  static Link with_children(const Node& node, Link left, Link right) {
    return std::make_shared<Node>(
        Node{node.key, node.value, node.priority, std::move(left), std::move(right)});
  }

  // Everything of the tree that is before (first) and after (second) the key.
  static std::pair<Link, Link> split(const Link& tree, const Key& key) {
    if (!tree) return {};
    if (Less{}(tree->key, key)) {
      auto parts = split(tree->right, key);
      return {with_children(*tree, tree->left, std::move(parts.first)), std::move(parts.second)};
    }
    if (!Less{}(key, tree->key)) return {tree->left, tree->right};  // the key itself is dropped
    auto parts = split(tree->left, key);
    return {std::move(parts.first), with_children(*tree, std::move(parts.second), tree->right)};
  }

  static Link merge(const Link& left, const Link& right) {
    if (!left) return right;
    if (!right) return left;
    if (left->priority >= right->priority) {
      return with_children(*left, left->left, merge(left->right, right));
    }
    return with_children(*right, merge(left, right->left), right->right);
  }

  static Link insert(const Link& tree, const std::shared_ptr<Node>& fresh) {
    if (!tree) return fresh;
    const bool before = Less{}(fresh->key, tree->key);
    const bool after = Less{}(tree->key, fresh->key);
    if (!before && !after) {
      fresh->left = tree->left;
      fresh->right = tree->right;
      return fresh;
    }
    if (fresh->priority > tree->priority) {
      auto parts = split(tree, fresh->key);
      fresh->left = std::move(parts.first);
      fresh->right = std::move(parts.second);
      return fresh;
    }
    if (before) return with_children(*tree, insert(tree->left, fresh), tree->right);
    return with_children(*tree, tree->left, insert(tree->right, fresh));
  }

  static Link erase(const Link& tree, const Key& key) {
    if (Less{}(key, tree->key)) {
      return with_children(*tree, erase(tree->left, key), tree->right);
    }
    if (Less{}(tree->key, key)) {
      return with_children(*tree, tree->left, erase(tree->right, key));
    }
    return merge(tree->left, tree->right);
  }

  template <class Visit>
  static bool walk(const Node* node, const Key* first, Visit&& visit) {
    if (node == nullptr) return true;
    const bool skipped = first != nullptr && Less{}(node->key, *first);
    if (!skipped) {
      if (!walk(node->left.get(), first, visit)) return false;
      if (!visit(node->key, node->value)) return false;
    }
    return walk(node->right.get(), skipped ? first : nullptr, visit);
  }

  Link root_;
  std::size_t size_ = 0;
};

}  // namespace moored::store
