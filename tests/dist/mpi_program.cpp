// Trains on the processes that mpirun starts, or on this one alone, and prints all bits: mpi_program [alone]

#include <cstdio>
#include <exception>
#include <string>

#include "cria/dist/mpi.hpp"
#include "dist/training.hpp"

int main(int argc, char** argv) {
  try {
    if (argc > 1 && std::string(argv[1]) == "alone") {
      std::fputs(cria::test::train_on_processes<float>(nullptr, 2).c_str(), stdout);
      return 0;
    }
    cria::Mpi processes;
    const std::string text = cria::test::train_on_processes<float>(&processes, 1);
    if (processes.rank() == 0) std::fputs(text.c_str(), stdout);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
