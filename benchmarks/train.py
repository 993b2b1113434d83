import argparse
from pathlib import Path
from lib import wer

parser = argparse.ArgumentParser()
parser.add_argument("--work", type=Path)
options = parser.parse_args()
wer.measure(options.work, wer.Plan())
