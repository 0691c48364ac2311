module asya.sh/bed/faults

go 1.21
