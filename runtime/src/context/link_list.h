// LinkList<T>: a doubly linked list of Ts that derive from Linked<T>. A T is in one list at most. Whoever guards the
// list guards the links of what is in it.
#pragma once

namespace weft::detail {

template <typename T>
struct Linked {
  T* prev = nullptr;
  T* next = nullptr;
  bool linked = false;
};

template <typename T>
class LinkList {
 public:
  bool empty() const noexcept { return first_ == nullptr; }

  void push_front(T& item) noexcept {
    item.prev = nullptr;
    item.next = first_;
    item.linked = true;
    if (first_ != nullptr) first_->prev = &item;
    first_ = &item;
  }

  T* pop_front() noexcept {
    T* const item = first_;
    if (item != nullptr) remove(*item);
    return item;
  }

  // Returns false, and does nothing, when the item is not linked.
  bool remove(T& item) noexcept {
    if (!item.linked) return false;
    (item.prev != nullptr ? item.prev->next : first_) = item.next;
    if (item.next != nullptr) item.next->prev = item.prev;
    item.linked = false;
    return true;
  }

 private:
  T* first_ = nullptr;
};

}  // namespace weft::detail
