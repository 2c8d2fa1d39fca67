#pragma once
/// All of cria's files: state dictionaries, checkpoints, model folders, arrays, tables, token shards, metrics,
/// event files of TensorBoard.

#include "cria/io/array.hpp"
#include "cria/io/checkpoint_folder.hpp"
#include "cria/io/csv.hpp"
#include "cria/io/file.hpp"
#include "cria/io/idx.hpp"
#include "cria/io/inflate.hpp"
#include "cria/io/llama_config.hpp"
#include "cria/io/metrics.hpp"
#include "cria/io/npy.hpp"
#include "cria/io/safetensors.hpp"
#include "cria/io/state.hpp"
#include "cria/io/tensorboard.hpp"
#include "cria/io/tokens.hpp"
