// Counts what a chat template uses up. The linker's --wrap makes operator new call allocate() first.

#include "template_budget.h"

#include "jinja/utils.h"

extern "C" {
void * __real__Znwm(size_t size);
void * __wrap__Znwm(size_t size);
}

namespace llamafu {

namespace {

thread_local TemplateBudget * current = nullptr;

} // namespace

TemplateBudget::TemplateBudget(size_t work, size_t bytes, size_t stack)
    : most_work_(work),
      most_bytes_(bytes),
      stack_end_(static_cast<const char *>(__builtin_frame_address(0)) - stack) {
    current = this;
}

TemplateBudget::~TemplateBudget() {
    current = nullptr;
}

void TemplateBudget::spend(size_t work) {
    work_ = work > most_work_ - work_ ? most_work_ : work_ + work;
    if (work_ == most_work_) {
        throw TemplateStopped{"takes too many steps"};
    }
    if (static_cast<const char *>(__builtin_frame_address(0)) < stack_end_) {
        throw TemplateStopped{"nests or recurs too deep"};
    }
}

void TemplateBudget::allocate(size_t bytes) {
    bytes_ = bytes > most_bytes_ - bytes_ ? most_bytes_ : bytes_ + bytes;
    if (bytes_ == most_bytes_) {
        throw TemplateStopped{"needs too much memory"};
    }
}

} // namespace llamafu

void jinja::spend(size_t work) {
    if (llamafu::current != nullptr) {
        llamafu::current->spend(work);
    }
}

extern "C" void * __wrap__Znwm(size_t size) {
    if (llamafu::current != nullptr) {
        llamafu::current->allocate(size);
    }
    return __real__Znwm(size);
}
