#pragma once
/// All of cria's files: state dictionaries, checkpoints, model folders, token shards, metrics.

#include "cria/io/checkpoint_folder.hpp"
#include "cria/io/file.hpp"
#include "cria/io/llama_config.hpp"
#include "cria/io/metrics.hpp"
#include "cria/io/safetensors.hpp"
#include "cria/io/state.hpp"
#include "cria/io/tokens.hpp"
