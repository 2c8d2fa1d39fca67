# Compiles all kernels, those of a kernel library, and reads what ptxas reports of them: no warning, no register that spills
# to memory, and within these limits. Prints the largest instance of each kernel.
# Transformers' kernels are compiled for several architectures; for the oldest they need only compile. Those of the operators,
# which are the same code everywhere, are compiled for one.
# Arguments: nvcc, architectures ("80 90"), oldest (75), of_operators (90), include, folder for what is written.
#
# 64 registers let 1,024 threads share a multiprocessor. The launch bounds of attention's kernels (cria::cuda::flash) say
# themselves how many blocks do, and two do where a warp keeps rows in registers. So much static shared memory is left by 1,024
# threads in blocks of 256 on every architecture; cria::cuda::launch and the emulation count on a kernel having no more.
cmake_minimum_required(VERSION 3.25)
set(most_registers 64)
set(most_registers_of_attention 255)
set(most_registers_of_rows 128)
set(most_shared_memory 16384)

separate_arguments(architectures)
# Beside the library a user's program, of which nvcc refuses other things than g++ does; and, once, the CPU's operations.
set(program "void train(nn::Linear<float, Cuda>& model) { AdamW<Cuda>(model, {}).step(); }")
set(of_cpu "CRIA_OPERATORS(, float, Cpu)")
set(of_nccl "")  # where the toolkit has it, what GPUs exchange that train together
cmake_path(GET nvcc PARENT_PATH folder_of_nvcc)
if(EXISTS ${folder_of_nvcc}/../include/nccl.h)
  set(of_nccl -DCRIA_NCCL)
  string(APPEND of_cpu "
void exchange(Exchange<Cuda>& gpus, nn::Linear<float, Cuda>& model, const ParameterGroups<Cuda>& own) {
  gpus.sum_gradients(model);
  gpus.sums_of_squares(own);
  gpus.gather_values(model);
}")
endif()
function(compile name library)  # the other arguments say what for; the host's part is not compiled
  file(CONFIGURE OUTPUT ${folder}/${name}.cu CONTENT
    "#include \"cria/kernel_library.hpp\"\n#include \"cria/cria.hpp\"\n\nnamespace cria {\n${library}(, Cuda)\n${program}\n${of_cpu}\n}\n")
  execute_process(
    COMMAND ${nvcc} -x cu -std=c++20 ${folder}/${name}.cu -I${include}
            -DCRIA_CUDA -DEIGEN_NO_CUDA --expt-relaxed-constexpr -Werror all-warnings ${ARGN}
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${output}")
  endif()
  set(report "${report}${output}" PARENT_SCOPE)
endfunction()

# Nobody reads what comes out.
compile(oldest CRIA_ALL_KERNELS -ptx -o ${folder}/oldest.ptx -arch compute_${oldest} -Xcicc -O0 ${of_nccl})
set(report "")
set(of_cpu "")
compile(operators CRIA_ALL_OPERATORS -cubin -o ${folder}/operators.cubin -Xptxas -v -arch sm_${of_operators})

# Headers ask for no more than architecture 80, so 90 shares its code, from which ptxas makes kernels of the same registers.
# (From 100 on the compiler unrolls differently.)
file(GLOB_RECURSE headers ${include}/cria/*)
foreach(header IN LISTS headers)
  file(STRINGS ${header} newer REGEX "__CUDA_ARCH__ *[<>=]+ *(8[1-9]|9|1)[0-9]")
  if(newer)
    message(FATAL_ERROR "${header} has code for newer architectures, so 90 cannot share that of 80 here: ${newer}")
  endif()
endforeach()
set(code "")
foreach(architecture IN LISTS architectures)
  set(virtual ${architecture})
  if(architecture EQUAL 90)
    set(virtual 80)
  endif()
  list(APPEND code -gencode arch=compute_${virtual},code=sm_${architecture})
endforeach()
compile(kernels CRIA_ALL_KERNELS -fatbin -o ${folder}/kernels.fatbin -Xptxas -v --threads 2 ${code})

string(REGEX REPLACE ";" "," report "${report}")
string(REGEX MATCHALL "Compiling entry function[^\n]*|[0-9]+ bytes spill stores, [0-9]+ bytes spill loads|Used [0-9]+ registers[^\n]*" lines "${report}")
set(wrong "")
foreach(line IN LISTS lines)
  if(line MATCHES "entry function '([^']*[0-9]([a-z_]+_kernel)[^']*)' for 'sm_([0-9]+)'")
    set(symbol ${CMAKE_MATCH_1})
    set(kernel ${CMAKE_MATCH_2})
    set(architecture ${CMAKE_MATCH_3})
    set(of ${architecture}_${kernel})
    set(where "sm_${architecture}, ${symbol}")
  elseif(line MATCHES "spill")
    if(NOT line STREQUAL "0 bytes spill stores, 0 bytes spill loads")
      list(APPEND wrong "${line}: ${where}")
    endif()
  elseif(line MATCHES "Used ([0-9]+) registers")
    set(registers ${CMAKE_MATCH_1})
    set(shared 0)
    if(line MATCHES "([0-9]+) bytes smem")
      set(shared ${CMAKE_MATCH_1})
    endif()
    set(limit ${most_registers})
    if(symbol MATCHES "4cria4cuda5flash")
      set(limit ${most_registers_of_attention})
    elseif(kernel MATCHES "_in_registers_kernel")
      set(limit ${most_registers_of_rows})
    endif()
    if(registers GREATER limit OR shared GREATER most_shared_memory)
      list(APPEND wrong "${registers} registers (at most ${limit}), ${shared} bytes of shared memory (at most ${most_shared_memory}): ${where}")
    endif()
    if(NOT kernel IN_LIST kernels_${architecture})
      list(APPEND kernels_${architecture} ${kernel})
      set(instances_${of} 0)
      set(registers_${of} 0)
      set(shared_${of} 0)
    endif()
    math(EXPR instances_${of} "${instances_${of}} + 1")
    if(registers GREATER registers_${of})
      set(registers_${of} ${registers})
    endif()
    if(shared GREATER shared_${of})
      set(shared_${of} ${shared})
    endif()
  endif()
endforeach()

foreach(architecture IN LISTS architectures)
  if(NOT kernels_${architecture})
    message(FATAL_ERROR "ptxas reported no kernel for sm_${architecture}:\n${report}")
  endif()
  set(rows "")
  foreach(kernel IN LISTS kernels_${architecture})
    set(of ${architecture}_${kernel})
    list(APPEND rows "| ${registers_${of}} | ${shared_${of}} | ${instances_${of}} | `${kernel}` |")
  endforeach()
  list(SORT rows COMPARE NATURAL ORDER DESCENDING)
  list(JOIN rows "\n" rows)
  message("sm_${architecture}\n| registers | static shared memory | instances | kernel |\n| ---: | ---: | ---: | --- |\n${rows}\n")
endforeach()
if(wrong)
  list(JOIN wrong "\n" wrong)
  message(FATAL_ERROR "kernels that spill or exceed a limit (c++filt makes their names readable):\n${wrong}")
endif()
