# make demo | test | lint | bench | ablation | train: each sets itself up first, on a fresh machine too.
#   PYTHON=python3.12     the interpreter for .venv (default: the first of python3, python3.13 ... python3.10 that fits)
#   PIP_ARGS=...          more arguments for pip, as: --extra-index-url https://download.pytorch.org/whl/cpu
#   ARGS=...              more arguments for demo, test, bench or ablation
#   DATA=...              ablation, train: the folder of NYUv2
#   DFD=... KITTI=... LSP=... OAKLAND=... train: the folders of onera_dfd, kitti_stereo, lsp and oakland3d; without them their
#                         networks are left out
#   MOBILENET_V1=...      train: ImageNet weights of MobileNetV1, for keypoints
#   START=... PROCESSES=N train: ImageNet weights; so many GPUs (docs/training.md)
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format bench ablation train needs-data train-depth train-defocus train-stereo train-keypoints train-clouds clean

BIN := .venv/bin
export PYTHON PIP_ARGS

help:
	@sed -n 's/^#   /  /p; s/^# //p' Makefile

setup:
	@.ci/setup

demo: setup
	@$(BIN)/scene-understanding demo $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

test-slow: setup
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	@for file in bench/bench_*.py; do echo "== $$file"; $(BIN)/python $$file $(ARGS) || exit 1; done

ablation: setup
	$(if $(DATA),,$(error make ablation needs DATA=folder of NYUv2))
	$(BIN)/python bench/ablation_nyu.py --data nyuv2:$(DATA) $(ARGS)
	$(BIN)/python bench/ablation_depth.py --data nyuv2:$(DATA)

START ?= weights/mobilenet_v2.safetensors
CLI := $(if $(PROCESSES),$(BIN)/torchrun --standalone --nproc-per-node $(PROCESSES) -m scene_understanding.cli,$(BIN)/scene-understanding)
EXPORT := $(BIN)/scene-understanding export --force

train: needs-data setup $(if $(DATA),train-depth) $(if $(DFD),train-defocus) $(if $(KITTI),train-stereo) $(if $(LSP),train-keypoints) $(if $(OAKLAND),train-clouds)
	$(CLI) train segmentation --config fusenet_embedded13 --start $(START)
	$(CLI) train segmentation --config fusenet_embedded13_tour
	$(CLI) train segmentation --config fusenet_nyu13 --data nyuv2:$(DATA) --start $(START)
	$(EXPORT) runs/fusenet_embedded13_tour fusenet_embedded13
	$(EXPORT) runs/fusenet_nyu13 fusenet_nyu13 --int16
	$(EXPORT) runs/fusenet_nyu13 fusenet_nyu40 --head auxiliary --output-stride 2 --int16

needs-data:
	$(if $(DATA),,$(error trainings need DATA=folder of NYUv2))

train-depth: needs-data setup
	$(CLI) train depth --config d3net_embedded --start $(START)
	$(CLI) train depth --config d3net_nyu --data nyuv2:$(DATA) --start $(START)
	$(CLI) train depth --config d3net_nyu_whole --data nyuv2:$(DATA)
	$(EXPORT) runs/d3net_nyu_whole d3net_nyu --int16

# At f/2.8, and the twin at f/8 that is trained alike.
train-defocus: setup
	$(if $(DFD),,$(error make train-defocus needs DFD=folder of onera_dfd))
	$(CLI) train depth --config d3net_dfd_embedded --start $(START)
	$(CLI) train depth --config d3net_dfd --data onera_dfd:$(DFD)
	$(CLI) train depth --config d3net_dfd_embedded --data embedded_defocus_f8 --start $(START) --out runs/d3net_dfd_f8_embedded
	$(CLI) train depth --config d3net_dfd --data onera_dfd_f8:$(DFD) --init runs/d3net_dfd_f8_embedded/best.pt --out runs/d3net_dfd_f8
	$(EXPORT) runs/d3net_dfd d3net_dfd --int16 --twin f8=d3net_dfd_f8
	$(EXPORT) runs/d3net_dfd_f8 d3net_dfd_f8 --int16

train-stereo: setup
	$(if $(KITTI),,$(error make train-stereo needs KITTI=folder of kitti_stereo))
	$(CLI) train stereo --config monodepth_kitti --data kitti_stereo:$(KITTI)
	$(EXPORT) runs/monodepth_kitti monodepth_kitti --int16

# For a GPU; openpose_lsp and openpose_lsp_pretrained are what openpose is compared with (docs/keypoints.md).
MOBILENET_V1 ?= weights/mobilenet_v1_folded.safetensors
KEYPOINTS = $(CLI) train keypoints --data lsp:$(LSP)
train-keypoints: setup
	$(if $(LSP),,$(error make train-keypoints needs LSP=folder of lsp))
	$(CLI) train keypoints --config openpose_embedded --start $(MOBILENET_V1)
	$(KEYPOINTS) --config openpose
	$(KEYPOINTS) --config openpose --epochs 9 --init runs/openpose/best.pt --out runs/openpose_more
	$(EXPORT) runs/openpose_more openpose --int16
	$(KEYPOINTS) --config openpose_lsp --start $(MOBILENET_V1)
	$(KEYPOINTS) --config openpose_lsp --start '' --init runs/openpose_embedded/best.pt --out runs/openpose_lsp_pretrained

train-clouds: setup
	$(if $(OAKLAND),,$(error make train-clouds needs OAKLAND=folder of oakland3d))
	$(CLI) train clouds --config snapnet_oakland5 --data oakland3d:$(OAKLAND) --start $(START)
	$(CLI) train clouds --config snapnet_oakland5_more --data oakland3d:$(OAKLAND)
	$(CLI) train clouds --config snapnet_rubble4 --start $(START)
	$(CLI) train clouds --config snapnet_embedded13 --start $(START)
	$(EXPORT) runs/snapnet_oakland5_more snapnet_oakland5 --int16
	$(EXPORT) runs/snapnet_rubble4 snapnet_rubble4 --int16
	$(EXPORT) runs/snapnet_embedded13 snapnet_embedded13 --int16

clean:
	rm -rf .venv build install log dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
