run:
	@$(COMMAND)
	@echo status=0; read x; echo read=$$x
