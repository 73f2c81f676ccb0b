module weft/loadtest/micro/go

go 1.19
