/* A program that knows nothing of weft. It loads a shared object that has a runtime. */
#include <dlfcn.h>
#include <stdio.h>

typedef int (*run_plugin)(const char* poller);

int main(int argc, char** argv) {
  void* const plugin = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (plugin == NULL) {
    fprintf(stderr, "plugin_host: %s\n", argc == 2 ? dlerror() : "give a shared object");
    return 1;
  }
  run_plugin run = NULL;
  *(void**)&run = dlsym(plugin, "run_plugin");
  if (run == NULL) return 1;
  printf("epoll %d, automatic %d\n", run("epoll"), run("automatic"));
  return 0;
}
